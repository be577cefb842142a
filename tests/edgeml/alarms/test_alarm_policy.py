"""The alarm policy by event time only; one result a second unless stated otherwise."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from edgeml.alarms.alarm_policy import Alarm, AlarmPolicy, Change, PolicyOptions, PolicyState, alarm_id
from edgeml.config.schema import read
from edgeml.errors import OptionsError
from edgeml.timestamps import SECOND

OPTIONS = PolicyOptions(votes=3, of=5, hold_s=4, clear_hold_s=3, cooldown_s=20, rewind_s=300)
T0 = 1_583_748_000 * SECOND


def policy(**changes: float) -> AlarmPolicy:
    options = {name: getattr(OPTIONS, name) for name in OPTIONS.__struct_fields__} | changes
    return AlarmPolicy(PolicyOptions(**options), "pump-1", "skab")


def feed(p: AlarmPolicy, confidences: list[float | None], start: int = 0) -> list[tuple[str, int]]:
    """(state, second) of each change; the first confidence is of second `start`."""
    changes: list[Change] = []
    for second, confidence in enumerate(confidences, start):
        changes += p.evaluate(T0 + second * SECOND, confidence)
    return [(change.alarm.state, (change.at - T0) // SECOND) for change in changes]


def restored(p: AlarmPolicy) -> AlarmPolicy:
    """The policy, saved and loaded."""
    return AlarmPolicy(p.options, p.asset, p.model, msgspec.json.decode(msgspec.json.encode(p.state), type=PolicyState))


def raised(**changes: float) -> tuple[AlarmPolicy, int, Alarm]:
    """A policy with an active alarm, the next second, and the alarm."""
    p = policy(**changes)
    assert feed(p, [1.0] * 7) == [("pending", 2), ("active", 6)]
    assert p.alarm is not None
    return p, 7, p.alarm


def test_alarm_is_raised_once_the_votes_have_held():
    p, now, alarm = raised()
    assert (alarm.pending_at, alarm.raised_at, alarm.cleared_at) == (T0 + 2 * SECOND, T0 + 6 * SECOND, None)
    assert feed(p, [1.0] * 100, now) == []


@pytest.mark.parametrize("confidence, raises", [(0.899, False), (0.9, True), (float(np.float32(0.9)), True)])
def test_alarm_is_raised_at_or_over_the_level(confidence, raises):
    assert bool(feed(policy(), [confidence] * 20)) is raises


def test_votes_count_the_last_decided_results():
    assert feed(policy(hold_s=0), [1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0]) == []
    assert feed(policy(hold_s=0), [1, 0, 1, 0, 1]) == [("pending", 4), ("active", 4)]


def test_hold_survives_a_low_result_within_the_votes():
    assert feed(policy(), [1, 1, 1, 0, 1, 1, 1]) == [("pending", 2), ("active", 6)]


def test_pending_alarm_that_does_not_hold_is_cleared():
    p = policy()
    first: list[Change] = []
    for second, confidence in enumerate([1, 1, 1, 0, 0, 0]):
        first += p.evaluate(T0 + second * SECOND, confidence)
    assert [c.alarm.state for c in first] == ["pending", "cleared"]
    assert first[-1].alarm.raised_at is None and first[-1].alarm.cleared_at == T0 + 5 * SECOND
    # An alarm that was never raised starts no cool-down.
    assert feed(p, [1.0] * 7, 6) == [("pending", 8), ("active", 12)]


def test_hold_counts_event_time_not_results():
    p = policy()
    times = [T0 + int(s * SECOND) for s in (0, 0.1, 0.2, 0.3, 0.4, 4.19, 4.2)]
    changes = [change for time in times for change in p.evaluate(time, 1.0)]
    assert [(c.alarm.state, c.at) for c in changes] == [("pending", times[2]), ("active", times[6])]


def test_alarm_between_the_levels_stays_active():
    p, now, _ = raised()
    assert feed(p, [0.31, 0.89, 0.5] * 20, now) == []


def test_alarm_clears_when_low_for_the_clear_hold():
    p, now, alarm = raised()
    assert feed(p, [0.3, 0.1, 0.31, 0.3, 0.2, 0.1], now) == []
    assert feed(p, [float(np.float32(0.3))], now + 6) == [("cleared", now + 6)]
    assert p.alarm is None
    assert alarm.id == alarm_id("pump-1", "skab", T0 + 2 * SECOND)


def test_cooldown_delays_the_next_alarm():
    p, now, _ = raised()
    assert feed(p, [0.0] * 4, now) == [("cleared", 10)]
    assert feed(p, [1.0] * 24, 11) == [("pending", 30), ("active", 34)]


def test_next_alarm_without_cooldown_needs_its_own_results():
    p, now, _ = raised(cooldown_s=0, clear_hold_s=0)
    assert feed(p, [0.0, 1.0, 1.0], now) == [("cleared", 7)]
    assert feed(p, [1.0], now + 3) == [("pending", 10)]


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_no_decision_neither_raises_nor_clears(nothing):
    p = policy()
    assert feed(p, [1, 1, 1]) == [("pending", 2)]
    assert feed(p, [nothing] * 100, 3) == []
    # The hold of 4 s counts only decided time.
    assert feed(p, [1.0] * 5, 103) == [("active", 107)]
    assert feed(p, [nothing] * 100, 108) == []
    assert feed(p, [0.0, nothing, 0.0, 0.0, 0.0, 0.0], 208) == [("cleared", 213)]


def test_no_decision_is_not_among_the_last_results():
    assert feed(policy(hold_s=0), [1, None, None, None, 1, None, None, None, 1])[0] == ("pending", 8)


def test_acknowledged_alarm_stays_until_it_clears():
    p, now, alarm = raised()
    (change,) = p.acknowledge(alarm.id, "Ada", "on my way")
    assert (change.alarm.state, change.alarm.acknowledged_by, change.alarm.note) == ("acknowledged", "Ada", "on my way")
    assert p.acknowledge(alarm.id, "Bob") == []
    assert feed(p, [1.0, 0.5, 1.0], now) == []
    changes = [c for second in range(now + 3, now + 8) for c in p.evaluate(T0 + second * SECOND, 0.0)]
    assert [c.alarm.state for c in changes] == ["cleared"]
    assert changes[0].alarm.id == alarm.id and changes[0].alarm.acknowledged_by == "Ada"


def test_only_an_active_alarm_is_acknowledged():
    p = policy()
    feed(p, [1, 1, 1])
    assert p.alarm is not None and p.acknowledge(p.alarm.id) == []
    assert p.acknowledge("another") == []
    assert policy().acknowledge("any") == []


def test_notes_accumulate_and_change_no_state():
    p, now, alarm = raised()
    (noted,) = p.annotate(alarm.id, "the stop command was not acknowledged")
    assert (noted.alarm.state, noted.alarm.note) == ("active", "the stop command was not acknowledged")
    (acknowledged,) = p.acknowledge(alarm.id, "Ada", "stopped by hand")
    assert acknowledged.alarm.note == "the stop command was not acknowledged; stopped by hand"
    assert p.annotate("another", "x") == []


def test_peak_is_the_highest_since_pending():
    p = policy()
    feed(p, [0.99, 0.91, 0.92, 0.97, 0.93, 0.5])
    assert p.alarm is not None and (p.alarm.peak, p.alarm.confidence) == (0.97, 0.5)


def test_repeated_results_change_nothing():
    p, now, _ = raised()
    before = p.copy().state
    assert feed(p, [0.0] * now) == []
    assert p.state == before
    result = p.evaluate_block("", [T0 + s * SECOND for s in range(now - 2, now + 1)], [1.0] * 3)
    assert result.rows == [2]


def test_copy_is_independent() -> None:
    p, now, _ = raised()
    copy = p.copy()
    before = msgspec.json.encode(p.state)
    assert msgspec.json.encode(copy.state) == before
    assert feed(copy, [0.0] * 10, now)
    assert msgspec.json.encode(p.state) == before != msgspec.json.encode(copy.state)


def test_same_results_give_the_same_ids_from_any_saved_state():
    confidences = ([1.0] * 10 + [0.0] * 30 + [None] * 5) * 4
    whole = policy()
    expected = [(c.alarm, c.at) for s, x in enumerate(confidences) for c in whole.evaluate(T0 + s * SECOND, x)]
    assert sum(alarm.state == "active" for alarm, _ in expected) == 4 and len({alarm.id for alarm, _ in expected}) == 4
    for cut in range(0, len(confidences), 7):
        first = policy()
        got = [(c.alarm, c.at) for s, x in enumerate(confidences[:cut]) for c in first.evaluate(T0 + s * SECOND, x)]
        second = restored(first)
        # A producer replays from the beginning.
        got += [(c.alarm, c.at) for s, x in enumerate(confidences) for c in second.evaluate(T0 + s * SECOND, x)]
        assert got == expected


def block(p: AlarmPolicy, stream: str, seconds: range, confidence: float = 0.0):
    return p.evaluate_block(stream, [T0 + s * SECOND for s in seconds], [confidence] * len(seconds))


def test_repetitions_of_a_resumed_source_are_ignored():
    p = policy()
    block(p, "a", range(1000))
    assert block(p, "b", range(800, 1100)).rows == list(range(200, 300))


def test_restarted_recording_is_evaluated_and_clears_the_open_alarm():
    p = policy()
    first = [c.alarm for c in block(p, "a", range(1000), 1.0).changes]
    again = block(p, "b", range(1000), 1.0)
    assert len(again.rows) == 1000
    assert [c.alarm.state for c in again.changes] == ["cleared", "pending", "active"]
    assert again.changes[0].alarm.id == first[0].id and again.changes[0].alarm.cleared_at == T0 + 999 * SECOND
    assert again.changes[1].alarm.pending_at == first[0].pending_at and again.changes[1].alarm.id != first[0].id


def test_late_block_of_an_earlier_stream_is_ignored():
    p = policy()
    block(p, "a", range(1000))
    block(p, "b", range(10))
    assert block(p, "a", range(900, 1100)).rows == []
    assert block(p, "b", range(20)).rows == list(range(10, 20))


@pytest.mark.parametrize(("earlier_ns", "restarted"), [(0, False), (1, True)])
def test_new_stream_restarts_beyond_the_rewind_and_not_at_it(earlier_ns, restarted):
    p = policy(rewind_s=300)
    block(p, "a", range(1000))
    first = T0 + 699 * SECOND - earlier_ns
    assert p.evaluate_block("b", [first], [0.0]).rows == ([0] if restarted else [])


def test_streams_from_before_a_restart_are_remembered():
    p = policy()
    block(p, "a", range(1000))
    block(p, "b", range(10))
    assert p.state.streams == ["a", "b"]
    assert block(p, "a", range(20, 40)).rows == [], "a late block from before the restart is no restarted recording"
    block(p, "c", range(1, 12))
    assert block(p, "b", range(12, 40)).rows == [] and p.state.streams == ["a", "b", "c"]


def test_abandoned_alarm_ends_at_the_last_evaluated_time_with_its_reason():
    p, now, alarm = raised()
    feed(p, [0.5], now)
    (change,) = p.abandon("it has no results")
    assert (change.alarm.id, change.alarm.state, change.because) == (alarm.id, "cleared", "it has no results")
    assert change.alarm.cleared_at == change.at == T0 + now * SECOND and change.alarm.note == "it has no results"
    assert p.alarm is None and p.abandon("again") == [] and policy().abandon("none") == []
    assert feed(p, [1.0] * 7, now + 1) == [("pending", now + 3), ("active", now + 7)], "no cool-down follows, because no result cleared it"


def test_step_back_within_a_stream_is_ignored():
    p = policy()
    block(p, "a", range(1000))
    assert block(p, "a", range(500)).rows == []


def test_blocks_from_before_a_restart_stay_known():
    p = policy()
    block(p, "a", range(1000))
    block(p, "b", range(1000), 1.0)
    before = p.copy().state
    assert block(p, "a", range(1000, 1100)).rows == [], "a late block of the earlier recording must not be evaluated"
    assert p.state == before


def test_later_epoch_of_a_stream_is_evaluated_at_any_step():
    p = policy()
    block(p, "a", range(1000), 1.0)
    again = p.evaluate_block("a", [T0 + s * SECOND for s in range(950, 960)], [1.0] * 10, epoch=1)
    assert again.rows == list(range(10))
    assert [c.alarm.state for c in again.changes] == ["cleared", "pending", "active"]
    late = p.evaluate_block("a", [T0 + s * SECOND for s in range(1000, 1010)], [1.0] * 10, epoch=0)
    assert late.rows == [], "a late block of the earlier epoch must not be evaluated"
    assert restored(p).evaluate_block("a", [T0 + 955 * SECOND, T0 + 960 * SECOND], [1.0] * 2, epoch=1).rows == [1]


def test_new_stream_in_a_later_epoch_restarts_the_evaluation():
    p = policy()
    block(p, "a", range(1000), 1.0)
    assert len(p.evaluate_block("b", [T0 + s * SECOND for s in range(950, 960)], [0.0] * 10, epoch=2).rows) == 10
    q = policy()
    block(q, "a", range(1000), 1.0)
    later = q.evaluate_block("b", [T0 + s * SECOND for s in range(1000, 1010)], [1.0] * 10, epoch=2)
    assert later.changes == [] and q.alarm is not None, "a stream that continues in time keeps its alarm"


def test_implausible_time_changes_nothing():
    p = policy()
    block(p, "a", range(10))
    wrong = p.evaluate_block("a", [T0 + 10**9 * SECOND, T0 + 10 * SECOND], [None, 0.0], plausible=[False, True])
    assert wrong.rows == [1] and p.evaluated_to == T0 + 10 * SECOND


def test_changes_contain_the_row_of_their_block():
    changes = block(policy(), "a", range(20), 1.0).changes
    assert [(c.alarm.state, c.row) for c in changes] == [("pending", 2), ("active", 6)]


def test_numpy_columns_are_accepted():
    p = policy()
    times = T0 + np.arange(20, dtype="<i8") * SECOND
    assert len(p.evaluate_block("a", times, np.full(20, 0.95, "<f4")).changes) == 2
    assert restored(p).evaluated_to == T0 + 19 * SECOND, "the state is JSON, which has no numbers of numpy"


def test_all_wrong_options_are_reported_with_their_remedy():
    with pytest.raises(OptionsError) as wrong:
        read(PolicyOptions, {"raise_at": "1.5", "clear_at": -0.1, "hold_s": -1, "of": "many", "rise_at": 0.9}, "policy")
    text = str(wrong.value)
    assert len(wrong.value.faults) == 5
    for key, value in (("raise_at", "1.5"), ("clear_at", "-0.1"), ("hold_s", "-1"), ("of", "many")):
        assert f"`policy.{key}` is" in text and value in text
    assert "did you mean `raise_at`?" in text


def test_contradictory_options_are_refused():
    with pytest.raises(OptionsError) as wrong:
        read(PolicyOptions, {"raise_at": 0.3, "clear_at": 0.3, "votes": 6, "of": 5}, "policy")
    assert len(wrong.value.faults) == 2
    assert "`policy.raise_at` is 0.3" in wrong.value.faults[0] and "`policy.votes` is 6" in wrong.value.faults[1]


def test_defaults_match_the_specification():
    assert (PolicyOptions().raise_at, PolicyOptions().clear_at, PolicyOptions().check()) == (0.9, 0.3, [])


@pytest.mark.parametrize(("back_ns", "restarted"), [(300 * SECOND - 1, False), (300 * SECOND, False), (300 * SECOND + 1, True)])
def test_step_back_beyond_the_limit_restarts_the_evaluation(back_ns: int, restarted: bool) -> None:
    p = policy()
    p.evaluate_block("one", [T0 + s * SECOND for s in range(400)], [1.0] * 400)
    assert p.alarm is not None and p.alarm.state == "active"
    result = p.evaluate_block("two", [T0 + 399 * SECOND - back_ns], [1.0])
    assert [change.alarm.state for change in result.changes] == (["cleared"] if restarted else []) and len(result.rows) == int(restarted)
