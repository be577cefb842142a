"""Messages count once; missing messages are detected."""

from __future__ import annotations

import msgspec
import pytest

from edgeml.errors import MessageError
from edgeml.timestamps import to_iso
from edgeml_cli.demo.statistics import Statistics, reason_without_progress, summary
from tests.edgeml_cli.demo import samples


def stats_of(*messages: object) -> Statistics:
    stats = Statistics()
    for message in messages:
        stats.add(message, samples.SENSORS)  # type: ignore[arg-type]
    return stats


def test_counts_of_a_whole_episode() -> None:
    stats = Statistics()
    for message, sender in samples.episode():
        stats.add(message, sender)
    counts = summary(stats)
    assert (counts["rows"], counts["windows"], counts["results"], counts["no_decision"]) == (300, 200, 300, 100)
    assert counts["no_decision_reasons"] == {"learning": 100}
    assert counts["lost_messages"] == 0
    [alarm] = counts["alarms"]
    assert alarm == {
        "asset": samples.ASSET,
        "raised_at": to_iso(samples.at(157)),
        "cleared_at": to_iso(samples.at(212)),
        "peak_confidence": 0.96,
        "id": "a1",
        "why": "flow is 8 standard deviations low",
    }
    assert [(command["id"], command["acknowledged_at"]) for command in counts["commands"]] == [("c1", to_iso(samples.at(160)))]
    assert [command["action"] for command in counts["operator_commands"]] == ["restore", "start"]


def test_replayed_message_counts_once() -> None:
    stats = stats_of(samples.batch(0, [0, 1]), samples.results(0, [0, 1]), samples.batch(0, [0, 1]), samples.results(0, [0, 1]))
    assert (stats.rows, stats.results, stats.repeated) == (2, 2, 2)


def test_rows_repeated_by_a_restarted_producer_count_once() -> None:
    stats = stats_of(samples.batch(0, [0, 1, 2]), samples.batch(0, [1, 2, 3], stream="s2"), samples.results(0, [0, 1, 2, 3]))
    assert stats.rows == 4
    stats.add(samples.results(0, [2, 3, 4], stream="r2"))
    assert stats.results == 5


def test_rows_with_the_same_time_in_one_stream_count_each() -> None:
    stats = stats_of(samples.batch(0, [0, 1, 1]), samples.batch(1, [1, 2]))
    assert stats.rows == 5
    assert stats_of(samples.batch(0, [0, 1, 1]), samples.batch(0, [1, 1, 2], stream="s2")).rows == 4


@pytest.mark.parametrize(("numbers", "missing"), [([0, 1, 2], 0), ([1, 2], 1), ([0, 3], 2), ([2, 0, 1], 0), ([0, 2, 1, 1], 0)])
def test_missing_sequence_number_is_a_loss(numbers: list[int], missing: int) -> None:
    stats = stats_of(
        *(samples.batch(seq, [seq]) for seq in numbers), *(samples.results(seq, [row]) for seq, row in enumerate(set(numbers)))
    )
    assert stats.gaps == missing
    assert summary(stats)["lost_messages"] == missing


def test_resumed_stream_may_start_above_zero() -> None:
    before = [samples.results(seq, [seq], stream="r1") for seq in (0, 1)]
    assert stats_of(*before, *(samples.results(seq, [seq], stream="r2") for seq in (7, 8))).gaps == 0
    assert stats_of(*before, *(samples.results(seq, [seq], stream="r2") for seq in (7, 9))).gaps == 1


def test_sequence_numbers_are_counted_by_stream_and_type() -> None:
    stats = stats_of(
        samples.batch(0, [0]), samples.results(0, [0]), samples.batch(0, [1], stream="s2"), samples.results(0, [1], stream="r2")
    )
    assert stats.gaps == 0


def test_row_without_result_is_lost() -> None:
    stats = stats_of(samples.batch(0, [0, 1, 2]), samples.results(0, [0, 2]))
    assert stats.rows_without_result == 1
    assert summary(stats)["lost_messages"] == 1
    assert stats_of(samples.batch(0, [0, 1, 2])).rows_without_result == 3


def test_first_result_of_a_row_counts() -> None:
    stats = stats_of(samples.batch(0, [0]), samples.results(0, [0], 0.5), samples.results(0, [0], None, stream="r2"))
    assert (stats.scored, stats.results, dict(stats.reasons)) == (1, 1, {})


def test_alarm_that_never_became_active_is_not_counted() -> None:
    stats = stats_of(samples.alert(0, "pending", 5), samples.alert(1, "cleared", 9))
    assert stats.raised == []
    assert summary(stats)["alarms"] == []
    assert stats.alarms["a1"].state == "cleared"


def test_late_alert_does_not_override_a_newer_one() -> None:
    stats = stats_of(samples.alert(0, "pending", 5), samples.alert(1, "active", 9, raised=9), samples.alert(2, "cleared", 20, raised=9))
    assert stats.add(samples.alert(0, "active", 9, raised=9, stream="d2")) == []
    assert stats.alarms["a1"].state == "cleared"
    assert len(stats.raised) == 1


def test_open_alarm_has_no_clearing_time() -> None:
    [alarm] = summary(stats_of(samples.alert(0, "pending", 5), samples.alert(1, "active", 9, raised=9)))["alarms"]
    assert (alarm["raised_at"], alarm["cleared_at"], alarm["peak_confidence"]) == (to_iso(samples.at(9)), None, 0.97)


def test_peak_confidence_is_taken_during_the_alarm() -> None:
    results = [samples.results(0, list(range(10)), [0.99, 0.1, 0.2, 0.92, 0.94, 0.93, 0.1, 0.98, 0.1, 0.1])]
    alerts = [samples.alert(0, "pending", 3), samples.alert(1, "active", 4, raised=4), samples.alert(2, "cleared", 6, raised=4)]
    assert summary(stats_of(*results, *alerts))["alarms"][0]["peak_confidence"] == 0.94


def test_resent_command_counts_once_and_only_execution_acknowledges_it() -> None:
    stats = stats_of(samples.command(), samples.command(), samples.ack(status="refused"))
    assert [command.acknowledged_at for command in stats.commands.values()] == [None]
    stats.add(samples.ack(row=7))
    stats.add(samples.ack(status="expired", row=9))
    [command] = summary(stats)["commands"]
    assert (command["acknowledged_at"], command["status"]) == (to_iso(samples.at(7)), "executed")


def test_command_without_acknowledgement_is_listed_as_such() -> None:
    [command] = summary(stats_of(samples.command()))["commands"]
    assert (command["acknowledged_at"], command["status"]) == (None, "not acknowledged")


def test_columns_of_different_lengths_are_rejected_uncounted() -> None:
    stats = Statistics()
    with pytest.raises(MessageError):
        stats.add(msgspec.structs.replace(samples.batch(0, [0, 1]), values=b"1234"))
    assert stats.rows == 0


@pytest.mark.parametrize(
    ("reason", "plain"),
    [
        ("learning 12/400", "learning"),
        ("stopped", "stopped"),
        ("sensor: vibration_1 stuck", "sensor: vibration_1 stuck"),
        ("gap: window filling", "gap: window filling"),
        ("", ""),
        ("7", "7"),
    ],
)
def test_reasons_are_counted_without_their_progress(reason: str, plain: str) -> None:
    assert reason_without_progress(reason) == plain
