"""The alarm policy by event time alone; one result a second unless said."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edgeml.alarms.alarm_policy import Alarm, AlarmPolicy, Change, PolicyOptions, alarm_id
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
        changes += p.judge(T0 + second * SECOND, confidence)
    return [(change.alarm.state, (change.at - T0) // SECOND) for change in changes]


def raised(**changes: float) -> tuple[AlarmPolicy, int, Alarm]:
    """A policy with an active alarm, the next second, and the alarm."""
    p = policy(**changes)
    assert feed(p, [1.0] * 7) == [("pending", 2), ("active", 6)]
    assert p.alarm is not None
    return p, 7, p.alarm


def test_raises_once_n_of_m_has_held():
    p, now, alarm = raised()
    assert (alarm.pending_at, alarm.raised_at, alarm.cleared_at) == (T0 + 2 * SECOND, T0 + 6 * SECOND, None)
    assert feed(p, [1.0] * 100, now) == []


@pytest.mark.parametrize("confidence, raises", [(0.899, False), (0.9, True), (float(np.float32(0.9)), True)])
def test_raises_at_or_over_the_level(confidence, raises):
    assert bool(feed(policy(), [confidence] * 20)) is raises


def test_n_of_m_counts_the_last_m():
    assert feed(policy(hold_s=0), [1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0]) == []
    assert feed(policy(hold_s=0), [1, 0, 1, 0, 1]) == [("pending", 4), ("active", 4)]


def test_n_of_m_with_a_low_result_in_between_goes_on_holding():
    assert feed(policy(), [1, 1, 1, 0, 1, 1, 1]) == [("pending", 2), ("active", 6)]


def test_what_does_not_hold_is_withdrawn_without_having_been_raised():
    p = policy()
    first: list[Change] = []
    for second, confidence in enumerate([1, 1, 1, 0, 0, 0]):
        first += p.judge(T0 + second * SECOND, confidence)
    assert [c.alarm.state for c in first] == ["pending", "cleared"]
    assert first[-1].alarm.raised_at is None and first[-1].alarm.cleared_at == T0 + 5 * SECOND
    # No cool-down follows what was never raised.
    assert feed(p, [1.0] * 7, 6) == [("pending", 8), ("active", 12)]


def test_hold_counts_event_time_not_results():
    p = policy()
    times = [T0 + int(s * SECOND) for s in (0, 0.1, 0.2, 0.3, 0.4, 4.19, 4.2)]
    changes = [change for time in times for change in p.judge(time, 1.0)]
    assert [(c.alarm.state, c.at) for c in changes] == [("pending", times[2]), ("active", times[6])]


def test_hysteresis_keeps_the_alarm_between_the_levels():
    p, now, _ = raised()
    assert feed(p, [0.31, 0.89, 0.5] * 20, now) == []


def test_clears_when_low_for_the_clear_hold():
    p, now, alarm = raised()
    assert feed(p, [0.3, 0.1, 0.31, 0.3, 0.2, 0.1], now) == []
    assert feed(p, [float(np.float32(0.3))], now + 6) == [("cleared", now + 6)]
    assert p.alarm is None
    assert alarm.id == alarm_id("pump-1", "skab", T0 + 2 * SECOND)


def test_cooldown_holds_back_the_next_alarm():
    p, now, _ = raised()
    assert feed(p, [0.0] * 4, now) == [("cleared", 10)]
    assert feed(p, [1.0] * 24, 11) == [("pending", 30), ("active", 34)]


def test_without_cooldown_the_next_alarm_still_needs_its_own_results():
    p, now, _ = raised(cooldown_s=0, clear_hold_s=0)
    assert feed(p, [0.0, 1.0, 1.0], now) == [("cleared", 7)]
    assert feed(p, [1.0], now + 3) == [("pending", 10)]


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_no_decision_neither_raises_nor_clears(nothing):
    p = policy()
    assert feed(p, [1, 1, 1]) == [("pending", 2)]
    assert feed(p, [nothing] * 100, 3) == []
    # The hold of 4 s counts decided time alone: 3 s before the next decision there was none.
    assert feed(p, [1.0] * 5, 103) == [("active", 107)]
    assert feed(p, [nothing] * 100, 108) == []
    assert feed(p, [0.0, nothing, 0.0, 0.0, 0.0, 0.0], 208) == [("cleared", 213)]


def test_no_decision_is_not_among_the_m():
    assert feed(policy(hold_s=0), [1, None, None, None, 1, None, None, None, 1])[0] == ("pending", 8)


def test_acknowledged_stays_alarmed_until_it_clears():
    p, now, alarm = raised()
    (change,) = p.acknowledge(alarm.id, "Ada", "on my way")
    assert (change.alarm.state, change.alarm.acknowledged_by, change.alarm.note) == ("acknowledged", "Ada", "on my way")
    assert p.acknowledge(alarm.id, "Bob") == []
    assert feed(p, [1.0, 0.5, 1.0], now) == []
    changes = [c for second in range(now + 3, now + 8) for c in p.judge(T0 + second * SECOND, 0.0)]
    assert [c.alarm.state for c in changes] == ["cleared"]
    assert changes[0].alarm.id == alarm.id and changes[0].alarm.acknowledged_by == "Ada"


def test_only_an_active_alarm_is_acknowledged():
    p = policy()
    feed(p, [1, 1, 1])
    assert p.alarm is not None and p.acknowledge(p.alarm.id) == []
    assert p.acknowledge("another") == []
    assert policy().acknowledge("any") == []


def test_notes_add_up_and_change_no_state():
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


def test_judging_again_changes_nothing():
    p, now, _ = raised()
    before = p.state()
    assert feed(p, [0.0] * now) == []
    assert p.state() == before
    judged = p.judge_block("", [T0 + s * SECOND for s in range(now - 2, now + 1)], [1.0] * 3)
    assert judged.rows == [2]


def test_the_same_results_give_the_same_ids_from_any_kept_state():
    confidences = ([1.0] * 10 + [0.0] * 30 + [None] * 5) * 4
    whole = policy()
    wanted = [(c.alarm, c.at) for s, x in enumerate(confidences) for c in whole.judge(T0 + s * SECOND, x)]
    assert sum(alarm.state == "active" for alarm, _ in wanted) == 4 and len({alarm.id for alarm, _ in wanted}) == 4
    for cut in range(0, len(confidences), 7):
        first = policy()
        got = [(c.alarm, c.at) for s, x in enumerate(confidences[:cut]) for c in first.judge(T0 + s * SECOND, x)]
        kept = json.loads(json.dumps(first.state()))
        second = AlarmPolicy(OPTIONS, "pump-1", "skab", kept)
        # A producer replays from the beginning.
        got += [(c.alarm, c.at) for s, x in enumerate(confidences) for c in second.judge(T0 + s * SECOND, x)]
        assert got == wanted


def block(p: AlarmPolicy, stream: str, seconds: range, confidence: float = 0.0):
    return p.judge_block(stream, [T0 + s * SECOND for s in seconds], [confidence] * len(seconds))


def test_a_resumed_source_repeats_and_is_ignored():
    p = policy()
    block(p, "a", range(1000))
    assert block(p, "b", range(800, 1100)).rows == list(range(200, 300))


def test_a_recording_begun_anew_is_judged_and_clears_what_was_open():
    p = policy()
    first = [c.alarm for c in block(p, "a", range(1000), 1.0).changes]
    again = block(p, "b", range(1000), 1.0)
    assert len(again.rows) == 1000
    assert [c.alarm.state for c in again.changes] == ["cleared", "pending", "active"]
    assert again.changes[0].alarm.id == first[0].id and again.changes[0].alarm.cleared_at == T0 + 999 * SECOND
    assert again.changes[1].alarm.pending_at == first[0].pending_at and again.changes[1].alarm.id != first[0].id


def test_a_late_block_of_a_stream_that_was_followed_is_ignored():
    p = policy()
    block(p, "a", range(1000))
    block(p, "b", range(10))
    assert block(p, "a", range(900, 1100)).rows == []
    assert block(p, "b", range(20)).rows == list(range(10, 20))


@pytest.mark.parametrize(("earlier_ns", "anew"), [(0, False), (1, True)])
def test_new_stream_begins_anew_beyond_the_rewind_and_not_at_it(earlier_ns, anew):
    p = policy(rewind_s=300)
    block(p, "a", range(1000))
    first = T0 + 699 * SECOND - earlier_ns
    assert p.judge_block("b", [first], [0.0]).rows == ([0] if anew else [])


def test_streams_from_before_a_recording_began_anew_are_remembered():
    p = policy()
    block(p, "a", range(1000))
    block(p, "b", range(10))
    assert p.state()["streams"] == ["a", "b"]
    assert block(p, "a", range(20, 40)).rows == [], "what comes late from before it is no recording begun anew"
    block(p, "c", range(1, 12))
    assert block(p, "b", range(12, 40)).rows == [] and p.state()["streams"] == ["a", "b", "c"]


def test_abandoned_alarm_ends_where_it_was_judged_last_and_says_why():
    p, now, alarm = raised()
    feed(p, [0.5], now)
    (change,) = p.abandon("nobody judges it")
    assert (change.alarm.id, change.alarm.state, change.because) == (alarm.id, "cleared", "nobody judges it")
    assert change.alarm.cleared_at == change.at == T0 + now * SECOND and change.alarm.note == "nobody judges it"
    assert p.alarm is None and p.abandon("again") == [] and policy().abandon("none") == []
    assert feed(p, [1.0] * 7, now + 1) == [("pending", now + 3), ("active", now + 7)], "no cool-down follows: nothing was over"


def test_the_same_stream_stepping_back_is_ignored():
    p = policy()
    block(p, "a", range(1000))
    assert block(p, "a", range(500)).rows == []


def test_blocks_of_a_stream_before_the_one_begun_anew_stay_known():
    p = policy()
    block(p, "a", range(1000))
    block(p, "b", range(1000), 1.0)  # begun anew
    before = p.state()
    assert block(p, "a", range(1000, 1100)).rows == [], "a late block of the recording before must not be judged"
    assert p.state() == before


def test_a_later_epoch_of_a_stream_is_judged_however_small_the_step():
    p = policy()
    block(p, "a", range(1000), 1.0)
    again = p.judge_block("a", [T0 + s * SECOND for s in range(950, 960)], [1.0] * 10, epoch=1)
    assert again.rows == list(range(10))
    assert [c.alarm.state for c in again.changes] == ["cleared", "pending", "active"]
    late = p.judge_block("a", [T0 + s * SECOND for s in range(1000, 1010)], [1.0] * 10, epoch=0)
    assert late.rows == [], "a late block of the epoch before must not be judged"
    kept = AlarmPolicy(OPTIONS, "pump-1", "skab", json.loads(json.dumps(p.state())))
    assert kept.judge_block("a", [T0 + 955 * SECOND, T0 + 960 * SECOND], [1.0] * 2, epoch=1).rows == [1]


def test_a_stream_in_a_later_epoch_is_begun_anew_where_it_is_met_first():
    p = policy()
    block(p, "a", range(1000), 1.0)
    assert len(p.judge_block("b", [T0 + s * SECOND for s in range(950, 960)], [0.0] * 10, epoch=2).rows) == 10
    q = policy()
    block(q, "a", range(1000), 1.0)
    later = q.judge_block("b", [T0 + s * SECOND for s in range(1000, 1010)], [1.0] * 10, epoch=2)
    assert later.changes == [] and q.alarm is not None, "what goes on in time goes on with its alarm"


def test_a_time_out_of_line_moves_nothing():
    p = policy()
    block(p, "a", range(10))
    wrong = p.judge_block("a", [T0 + 10**9 * SECOND, T0 + 10 * SECOND], [None, 0.0], in_line=[False, True])
    assert wrong.rows == [1] and p.judged == T0 + 10 * SECOND


def test_changes_name_the_row_of_their_block():
    changes = block(policy(), "a", range(20), 1.0).changes
    assert [(c.alarm.state, c.row) for c in changes] == [("pending", 2), ("active", 6)]


def test_columns_of_a_block_are_taken_as_they_are():
    p = policy()
    times = T0 + np.arange(20, dtype="<i8") * SECOND
    assert len(p.judge_block("a", times, np.full(20, 0.95, "<f4")).changes) == 2
    assert json.loads(json.dumps(p.state()))["judged"] == T0 + 19 * SECOND


def test_wrong_options_are_all_named_with_their_remedy():
    with pytest.raises(OptionsError) as wrong:
        read(PolicyOptions, {"raise_at": "1.5", "clear_at": -0.1, "hold_s": -1, "of": "many", "rise_at": 0.9}, "policy")
    text = str(wrong.value)
    assert len(wrong.value.faults) == 5
    for key, value in (("raise_at", "1.5"), ("clear_at", "-0.1"), ("hold_s", "-1"), ("of", "many")):
        assert f"`policy.{key}` is" in text and value in text
    assert "did you mean `raise_at`?" in text


def test_levels_and_counts_that_contradict_each_other_are_refused():
    with pytest.raises(OptionsError) as wrong:
        read(PolicyOptions, {"raise_at": 0.3, "clear_at": 0.3, "votes": 6, "of": 5}, "policy")
    assert len(wrong.value.faults) == 2
    assert "`policy.raise_at` is 0.3" in wrong.value.faults[0] and "`policy.votes` is 6" in wrong.value.faults[1]


def test_defaults_are_those_of_the_spec():
    assert (PolicyOptions().raise_at, PolicyOptions().clear_at, PolicyOptions().check()) == (0.9, 0.3, [])


@pytest.mark.parametrize(("back_ns", "anew"), [(300 * SECOND - 1, False), (300 * SECOND, False), (300 * SECOND + 1, True)])
def test_a_step_back_by_more_than_the_limit_begins_anew(back_ns: int, anew: bool) -> None:
    p = policy()
    p.judge_block("one", [T0 + s * SECOND for s in range(400)], [1.0] * 400)
    assert p.alarm is not None and p.alarm.state == "active"
    judged = p.judge_block("two", [T0 + 399 * SECOND - back_ns], [1.0])
    assert [change.alarm.state for change in judged.changes] == (["cleared"] if anew else []) and len(judged.rows) == int(anew)
