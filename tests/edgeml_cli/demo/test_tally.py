"""What passes is counted once; what is missing is seen."""

from __future__ import annotations

import msgspec
import pytest

from edgeml.errors import MessageError
from edgeml.timestamps import to_iso
from edgeml_cli.demo.statistics import Statistics, plain_reason, summary
from tests.edgeml_cli.demo import made


def told(*messages: object) -> Statistics:
    tally = Statistics()
    for message in messages:
        tally.take(message, made.SENSORS)  # type: ignore[arg-type]
    return tally


def test_a_whole_episode_adds_up() -> None:
    tally = Statistics()
    for message, sender in made.episode():
        tally.take(message, sender)
    counts = summary(tally)
    assert (counts["rows"], counts["windows"], counts["results"], counts["no_decision"]) == (300, 200, 300, 100)
    assert counts["no_decision_reasons"] == {"learning": 100}
    assert counts["lost_messages"] == 0
    [alarm] = counts["alarms"]
    assert alarm == {
        "asset": made.ASSET,
        "raised_at": to_iso(made.at(157)),
        "cleared_at": to_iso(made.at(212)),
        "peak_confidence": 0.96,
        "id": "a1",
    }
    assert [(command["id"], command["acknowledged_at"]) for command in counts["commands"]] == [("c1", to_iso(made.at(160)))]
    assert [command["action"] for command in counts["maintenance"]] == ["restore", "start"]


def test_a_replayed_message_counts_once() -> None:
    tally = told(made.batch(0, [0, 1]), made.results(0, [0, 1]), made.batch(0, [0, 1]), made.results(0, [0, 1]))
    assert (tally.rows, tally.results, tally.repeated) == (2, 2, 2)


def test_a_restarted_producer_repeats_its_last_rows() -> None:
    tally = told(made.batch(0, [0, 1, 2]), made.batch(0, [1, 2, 3], stream="s2"), made.results(0, [0, 1, 2, 3]))
    assert tally.rows == 4
    tally.take(made.results(0, [2, 3, 4], stream="r2"))
    assert tally.results == 5


def test_rows_of_one_stream_count_each_even_at_the_same_time() -> None:
    tally = told(made.batch(0, [0, 1, 1]), made.batch(1, [1, 2]))
    assert tally.rows == 5
    assert told(made.batch(0, [0, 1, 1]), made.batch(0, [1, 1, 2], stream="s2")).rows == 4


@pytest.mark.parametrize(("numbers", "missing"), [([0, 1, 2], 0), ([1, 2], 1), ([0, 3], 2), ([2, 0, 1], 0), ([0, 2, 1, 1], 0)])
def test_a_number_that_never_came_is_a_loss(numbers: list[int], missing: int) -> None:
    tally = told(*(made.batch(seq, [seq]) for seq in numbers), *(made.results(seq, [row]) for seq, row in enumerate(set(numbers))))
    assert tally.gaps == missing
    assert summary(tally)["lost_messages"] == missing


def test_what_a_producer_that_goes_on_never_sent_is_no_loss() -> None:
    before = [made.results(seq, [seq], stream="r1") for seq in (0, 1)]
    assert told(*before, *(made.results(seq, [seq], stream="r2") for seq in (7, 8))).gaps == 0
    assert told(*before, *(made.results(seq, [seq], stream="r2") for seq in (7, 9))).gaps == 1


def test_numbers_count_by_stream_and_kind() -> None:
    tally = told(made.batch(0, [0]), made.results(0, [0]), made.batch(0, [1], stream="s2"), made.results(0, [1], stream="r2"))
    assert tally.gaps == 0


def test_a_row_without_a_result_is_lost() -> None:
    tally = told(made.batch(0, [0, 1, 2]), made.results(0, [0, 2]))
    assert tally.unanswered == 1
    assert summary(tally)["lost_messages"] == 1
    assert told(made.batch(0, [0, 1, 2])).unanswered == 3


def test_the_first_result_of_a_row_counts() -> None:
    tally = told(made.batch(0, [0]), made.results(0, [0], 0.5), made.results(0, [0], None, stream="r2"))
    assert (tally.scored, tally.results, dict(tally.reasons)) == (1, 1, {})


def test_an_alarm_that_was_never_raised_is_none() -> None:
    tally = told(made.alert(0, "pending", 5), made.alert(1, "cleared", 9))
    assert tally.raised == []
    assert summary(tally)["alarms"] == []
    assert tally.alarms["a1"].state == "cleared"


def test_a_late_alert_does_not_undo_a_newer_one() -> None:
    tally = told(made.alert(0, "pending", 5), made.alert(1, "active", 9, raised=9), made.alert(2, "cleared", 20, raised=9))
    assert tally.take(made.alert(0, "active", 9, raised=9, stream="d2")) == []
    assert tally.alarms["a1"].state == "cleared"
    assert len(tally.raised) == 1


def test_an_open_alarm_has_not_cleared() -> None:
    [alarm] = summary(told(made.alert(0, "pending", 5), made.alert(1, "active", 9, raised=9)))["alarms"]
    assert (alarm["raised_at"], alarm["cleared_at"], alarm["peak_confidence"]) == (to_iso(made.at(9)), None, 0.97)


def test_the_peak_is_that_of_the_results_while_the_alarm_lived() -> None:
    results = [made.results(0, list(range(10)), [0.99, 0.1, 0.2, 0.92, 0.94, 0.93, 0.1, 0.98, 0.1, 0.1])]
    alerts = [made.alert(0, "pending", 3), made.alert(1, "active", 4, raised=4), made.alert(2, "cleared", 6, raised=4)]
    assert summary(told(*results, *alerts))["alarms"][0]["peak_confidence"] == 0.94


def test_a_command_that_is_sent_again_is_one_and_only_its_execution_acknowledges_it() -> None:
    tally = told(made.command(), made.command(), made.ack(status="refused"))
    assert [command.acknowledged_at for command in tally.commands.values()] == [None]
    tally.take(made.ack(row=7))
    tally.take(made.ack(status="expired", row=9))
    [command] = summary(tally)["commands"]
    assert (command["acknowledged_at"], command["status"]) == (to_iso(made.at(7)), "executed")


def test_a_command_without_an_answer_is_unanswered() -> None:
    [command] = summary(told(made.command()))["commands"]
    assert (command["acknowledged_at"], command["status"]) == (None, "unanswered")


def test_columns_that_do_not_agree_are_refused_and_count_nothing() -> None:
    tally = Statistics()
    with pytest.raises(MessageError):
        tally.take(msgspec.structs.replace(made.batch(0, [0, 1]), values=b"1234"))
    assert tally.rows == 0


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
    assert plain_reason(reason) == plain
