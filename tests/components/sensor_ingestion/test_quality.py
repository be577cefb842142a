"""Flags: README 3 to 5."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeml.messages import AHEAD, BACKWARDS, GAP, GOOD, MISSING, OUT_OF_RANGE, STUCK
from edgeml.timestamps import SECOND
from sensor_ingestion.quality import QualityChecker
from sensor_ingestion.sources.base import Channel
from sensor_ingestion.sources.csv_replay import CsvReplay, CsvReplayOptions
from sensor_ingestion.sources.pump_physics import CHANNELS, Fault, PumpSkid

from .kit import T0, Clock

PAIR = (Channel("current", "A", 0.0, 10.0, 10.0), Channel("flow", "l/min", 0.0, 200.0, 30.0))


def seconds(*numbers: float) -> np.ndarray:
    return np.array([T0 + round(number * SECOND) for number in numbers], np.int64)


def running(n: int) -> np.ndarray:
    """Values of `PAIR` that change from row to row."""
    return np.stack([2 + 0.01 * np.arange(n), 100 + 0.1 * np.arange(n)], 1).astype("f4")


def test_good_rows_are_not_flagged() -> None:
    assert not QualityChecker(PAIR).check(seconds(*range(50)), running(50)).any()


def test_missing_and_out_of_range_values_are_flagged() -> None:  # 3
    values = running(5)
    values[1, 0], values[2, 1], values[3, 0], values[4, 1] = np.nan, 201, -0.1, np.inf
    quality = QualityChecker(PAIR).check(seconds(*range(5)), values)
    assert quality.tolist() == [[0, 0], [MISSING, 0], [0, OUT_OF_RANGE], [OUT_OF_RANGE, 0], [0, OUT_OF_RANGE]]


@pytest.mark.parametrize(("gap", "flag"), [(5.0, GOOD), (5.1, GAP), (247.0, GAP)])
def test_first_row_after_a_long_gap_is_flagged(gap: float, flag: int) -> None:  # 3
    quality = QualityChecker(PAIR, max_gap_s=5.0).check(seconds(0, 1, 1 + gap, 2 + gap), running(4))
    assert quality.tolist() == [[0, 0], [0, 0], [flag, flag], [0, 0]]


def test_rows_with_earlier_times_are_flagged_until_time_has_caught_up() -> None:  # 3
    quality = QualityChecker(PAIR).check(seconds(0, 1, 2, 1, 2, 3, 2, 4), running(8))
    assert (quality[:, 0] == BACKWARDS).tolist() == [False, False, False, True, True, False, True, False]


def test_row_ahead_of_the_clock_is_flagged_alone() -> None:  # 3
    now = T0 + 10 * SECOND
    quality = QualityChecker(PAIR).check(seconds(0, 1, 10**8, 2, 3), running(5), now)
    assert quality.tolist() == [[0, 0], [0, 0], [AHEAD, AHEAD], [0, 0], [0, 0]]
    checker = QualityChecker(PAIR)
    assert checker.check(seconds(10**8, 1, 2), running(3), now).tolist() == [[AHEAD] * 2, [0, 0], [0, 0]]
    (part,) = checker.parts(seconds(3, 10**8), running(2), now)
    assert part.end_ns == T0 + 3 * SECOND


def test_clock_set_back_begins_another_part() -> None:  # 40
    times = seconds(*range(1000, 1020), *range(900, 940))
    checker = QualityChecker(PAIR, lasting_s=10)
    before, after = checker.parts(times, running(60))
    assert (before.rows, before.epoch, before.end_ns) == (slice(0, 30), 0, T0 + 1019 * SECOND)
    assert (after.rows, after.epoch, after.end_ns) == (slice(30, 60), 1, T0 + 939 * SECOND)
    assert before.quality[:, 0].tolist() == [0] * 20 + [BACKWARDS] * 10
    assert after.quality[:, 0].tolist() == [GAP] + [0] * 29


def test_epoch_that_begins_with_a_batch_begins_once() -> None:  # 40
    checker = QualityChecker(PAIR, lasting_s=10)
    epochs = []
    for second in [*range(1000, 1020), *range(900, 940)]:
        (part,) = checker.parts(seconds(second), running(1))
        epochs.append(part.epoch)
    assert epochs == [0] * 30 + [1] * 30


def test_stuck_time_is_counted_from_the_start_of_an_epoch() -> None:  # 40
    values = np.full((100, 1), 7, "f4")
    checker = QualityChecker([Channel("x", "", stuck_after_s=15.0)], lasting_s=10)
    times = seconds(*range(1000, 1020), *range(500, 540))
    quality = checker.check(times, values[:60])
    assert np.flatnonzero(quality[:, 0] == STUCK).tolist() == [*range(15, 20), *range(45, 60)]


def test_first_applicable_flag_is_set() -> None:  # 3
    values = running(3)
    values[1] = [np.nan, 999]
    values[2, 0] = np.nan
    quality = QualityChecker(PAIR).check(seconds(0, 100, 50), values)
    assert quality.tolist() == [[0, 0], [MISSING, OUT_OF_RANGE], [BACKWARDS, BACKWARDS]]


def test_value_is_stuck_after_the_configured_time() -> None:  # 3
    values = running(60)
    values[20:, 0] = values[20, 0]
    quality = QualityChecker(PAIR).check(seconds(*range(60)), values)
    assert np.flatnonzero(quality[:, 0] == STUCK).tolist() == list(range(30, 60)) and not quality[:, 1].any()


def test_recovered_sensor_is_good_at_once() -> None:  # 3
    values = running(60)
    values[20:40, 0] = 3.0
    quality = QualityChecker(PAIR).check(seconds(*range(60)), values)
    assert np.flatnonzero(quality[:, 0]).tolist() == list(range(30, 40))


def test_zero_disables_the_stuck_check() -> None:
    values = np.full((500, 1), 7, "f4")
    assert not QualityChecker([Channel("x", "", stuck_after_s=0)]).check(seconds(*range(500)), values).any()


def test_no_value_is_stuck_while_the_machine_is_stopped() -> None:  # 4
    values = np.concatenate([running(10), np.zeros((200, 2), "f4"), running(10)])
    assert not QualityChecker(PAIR, stopped_below=0.2).check(seconds(*range(220)), values).any()


def test_stuck_counts_again_after_a_gap() -> None:  # 4
    values = np.full((16, 1), 7, "f4")
    times = seconds(*range(8), *range(100, 108))
    quality = QualityChecker([Channel("x", "", stuck_after_s=10.0)]).check(times, values)
    assert np.flatnonzero(quality[:, 0]).tolist() == [8] and quality[8, 0] == GAP


def test_flags_do_not_depend_on_blocks_or_restarts() -> None:  # 5
    rng = np.random.default_rng(4)
    times = seconds(*(np.cumsum(rng.choice([1, 1, 1, 2, 7, -3], 400))))
    values = np.round(rng.standard_normal((400, 2)), 0).astype("f4") + 1
    values[100:160] = 2
    values[rng.random((400, 2)) < 0.02] = np.nan
    whole = QualityChecker(PAIR).check(times, values)
    assert set(np.unique(whole)) == {GOOD, MISSING, OUT_OF_RANGE, STUCK, GAP, BACKWARDS}
    checker, parts = QualityChecker(PAIR), []
    for start in range(0, 400, 7):
        parts.append(checker.check(times[start : start + 7], values[start : start + 7]))
        later = QualityChecker(PAIR)
        later.resume(json.loads(json.dumps(checker.state())))
        checker = later
    assert np.array_equal(np.concatenate(parts), whole)


def test_empty_batch_has_no_flags() -> None:
    assert QualityChecker(PAIR).check(seconds(), np.empty((0, 2), "f4")).shape == (0, 2)


@pytest.mark.parametrize("channel", ["vibration_1", "flow", "pressure"])
def test_simulated_skid_is_good_until_a_sensor_sticks(channel: str) -> None:
    rows = PumpSkid(3, faults=[Fault("sensor-stuck", 3000.0, channel=channel)]).step(4000)
    quality = QualityChecker(CHANNELS).check(T0 + rows.number * SECOND, rows.values)
    column = [known.name for known in CHANNELS].index(channel)
    hold = int(CHANNELS[column].stuck_after_s)
    assert not quality[:3000].any()
    assert (quality[2999 + hold :, column] == STUCK).all() and not np.delete(quality, column, 1).any()


def test_real_recordings_are_flagged_at_gaps_only(shared: Path) -> None:  # 4
    flagged = total = gaps = 0
    for path in sorted((shared / "data" / "skab").glob("*/*.csv")):
        source = CsvReplay(CsvReplayOptions(path=str(path), layout="skab", speed=0), Clock().pair)
        checker = QualityChecker(source.channels)
        while not source.finished:
            block = source.read(0.0, 100)
            assert block is not None
            quality = checker.check(block.times, block.values)
            total += len(block.times)
            gaps += int((quality == GAP).any(1).sum())
            flagged += int(((quality != GOOD) & (quality != GAP)).sum())
        assert not source.faults
    assert total > 30_000 and flagged == 0 and gaps == 7
