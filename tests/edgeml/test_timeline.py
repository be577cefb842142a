"""Which rows are in line, and when others become the line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeml.messages import AHEAD, BACKWARDS
from edgeml.timeline import RESYNC_ROWS, Timeline
from edgeml.timestamps import SECOND

T0 = 1_583_748_000 * SECOND
YEAR = 31_556_952


def at(*seconds: float) -> np.ndarray:
    return np.array([T0 + round(s * SECOND) for s in seconds], np.int64)


def run(line: Timeline, *seconds: float, now: float | None = None) -> list[int]:
    return line.place(at(*seconds), None if now is None else T0 + round(now * SECOND))[0].tolist()


def test_rising_rows_are_in_line():
    line = Timeline()
    assert run(line, *range(50)) == [0] * 50
    assert (line.latest, line.epoch, line.strayed) == (T0 + 49 * SECOND, 0, 0)


def test_an_equal_time_is_not_later():
    assert run(Timeline(), 0, 1, 1, 2) == [0, 0, BACKWARDS, 0]


def test_a_row_from_the_future_moves_nothing():
    line = Timeline()
    assert run(line, 0, 1, YEAR, 2, 3, now=3) == [0, 0, AHEAD, 0, 0]
    assert line.latest == T0 + 3 * SECOND and line.epoch == 0


def test_a_first_row_from_the_future_moves_nothing():
    line = Timeline()
    assert run(line, YEAR, 1, 2, now=3) == [AHEAD, 0, 0]


@pytest.mark.parametrize(("ahead_s", "flag"), [(59.0, 0), (60.0, 0), (60.5, AHEAD)])
def test_a_row_may_be_ahead_by_the_tolerance(ahead_s: float, flag: int):
    assert run(Timeline(ahead_s=60), 0, ahead_s, now=0) == [0, flag]


def test_a_row_of_the_past_moves_nothing():
    line = Timeline()
    assert run(line, 100, 101, -YEAR, 102, 103) == [0, 0, BACKWARDS, 0, 0]
    assert line.epoch == 0


def test_a_clock_that_was_set_back_begins_an_epoch():
    line = Timeline(resync_s=10)
    flags, begins = line.place(at(*range(1000, 1010), *range(500, 530)))
    assert flags.tolist() == [0] * 10 + [BACKWARDS] * 10 + [0] * 20
    assert begins == [20] and line.epoch == 1 and line.latest == T0 + 529 * SECOND


def test_a_few_rows_do_not_last_however_long_they_span():
    line = Timeline(resync_s=10)
    rows = [500 + 60 * number for number in range(RESYNC_ROWS)]
    assert run(line, 10_000, *rows) == [0] + [BACKWARDS] * (RESYNC_ROWS - 1) + [0]


def test_late_rows_among_others_never_last():
    line = Timeline(resync_s=10)
    seconds = [second for pair in zip(range(1000, 1100), range(500, 600), strict=True) for second in pair]
    assert run(line, *seconds) == [0, BACKWARDS] * 100 and line.epoch == 0


def test_repeated_time_never_restarts_the_timeline():
    line = Timeline(resync_s=10)
    run(line, 1000)
    assert run(line, *[500] * 100) == [BACKWARDS] * 100 and line.strayed == 100


def test_zero_turns_it_off():
    line = Timeline(resync_s=0)
    assert run(line, 1000, *range(500)) == [0] + [BACKWARDS] * 500


def test_a_source_whose_clock_is_ahead_for_good_is_taken_as_it_is():
    line = Timeline(resync_s=10)
    assert run(line, 0, 1, now=1) == [0, 0]
    assert run(line, *range(YEAR, YEAR + 30), now=31) == [AHEAD] * 10 + [0] * 20
    assert line.epoch == 0, "forward it is a gap"
    assert run(line, 2 * YEAR, YEAR + 30, now=32) == [AHEAD, 0], "and one row still further ahead is not"


def test_this_devices_clock_that_jumps_forward_by_years_is_fine():
    line = Timeline()
    assert run(line, *range(10), now=10) == [0] * 10
    assert run(line, 50 * YEAR, 50 * YEAR + 1, now=50 * YEAR + 1) == [0, 0]
    assert line.epoch == 0


def test_this_devices_clock_that_starts_in_the_past_costs_some_rows_of_a_source_with_its_own():
    line = Timeline(resync_s=10)
    assert run(line, *range(30), now=-50 * YEAR) == [AHEAD] * 10 + [0] * 20


def test_a_recording_of_long_ago_is_in_line():
    assert run(Timeline(), *range(10), now=10 * YEAR) == [0] * 10


def test_without_a_clock_nothing_is_ahead():
    assert run(Timeline(), 0, YEAR, 2 * YEAR) == [0, 0, 0]


def test_the_cut_into_blocks_changes_nothing_and_neither_does_a_restart():
    rng = np.random.default_rng(4)
    seconds = np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 2, 7, -3, -90, 90], 3000))
    whole = Timeline(resync_s=5)
    flags, begins = whole.place(at(*seconds), T0 + 500 * SECOND)
    assert whole.epoch == len(begins) > 3 and set(flags.tolist()) == {0, BACKWARDS, AHEAD}
    line, parts = Timeline(resync_s=5), []
    for start in range(0, 3000, 7):
        parts.append(line.place(at(*seconds[start : start + 7]), T0 + 500 * SECOND)[0])
        later = Timeline(resync_s=5)
        later.resume(json.loads(json.dumps(line.state())))
        line = later
    assert np.array_equal(np.concatenate(parts), flags) and (line.epoch, line.latest) == (whole.epoch, whole.latest)


def test_the_state_of_an_earlier_version_is_understood():
    line = Timeline()
    line.resume({"latest": T0})
    assert run(line, 0, 1) == [BACKWARDS, 0]


@pytest.mark.parametrize("state", [{"latest": "x"}, {"latest": 2**70}, {"latest": 0, "epoch": -1}, {"latest": 0, "stray": [1]}])
def test_invalid_state_is_refused(state: dict):
    with pytest.raises((ValueError, TypeError, KeyError, OverflowError)):
        Timeline().resume(state)
