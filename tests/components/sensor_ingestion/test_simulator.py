"""The source `simulator`: README 1, 2, 16."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.errors import OptionsError
from edgeml.timestamps import SECOND, to_iso
from sensor_ingestion.sources.simulator import Simulator, SimulatorOptions

from .kit import T0, Clock, drain


def test_true_speed_gives_a_row_a_second() -> None:  # 2
    clock = Clock()
    source = Simulator(SimulatorOptions(), clock.pair)
    counts = []
    for _ in range(5):
        assert source.wait(clock.now, 5) == pytest.approx(0.0, abs=1e-6)
        block = source.read(clock.now, 5)
        counts.append(0 if block is None else len(block.times))
        clock.now += source.wait(clock.now, 5)
    assert counts == [1] * 5 and clock.now == pytest.approx(105.0)
    assert source.read(clock.now - 0.01, 5) is None
    assert not source.paced


def test_higher_speed_fills_its_batches() -> None:  # 2
    clock = Clock()
    source = Simulator(SimulatorOptions(speed=60), clock.pair)
    first = source.read(clock.now, 5)
    assert first is not None and len(first.times) == 1
    clock.now += source.wait(clock.now, 5)
    block = source.read(clock.now, 5)
    assert block is not None and len(block.times) == 5 and clock.now == pytest.approx(100 + 5 / 60)


def test_late_reading_catches_up() -> None:  # 1
    clock = Clock()
    source = Simulator(SimulatorOptions(), clock.pair)
    source.read(clock.now, 100)
    clock.now += 30
    block = source.read(clock.now, 100)
    assert block is not None and len(block.times) == 30


def test_times_begin_now_or_at_the_start_time() -> None:
    clock = Clock()
    block = Simulator(SimulatorOptions(speed=0), clock.pair).read(0.0, 3)
    assert block is not None and block.times.tolist() == [T0, T0 + SECOND, T0 + 2 * SECOND]
    told = Simulator(SimulatorOptions(speed=0, start_time="2026-01-31 12:00:00", interval_s=0.5), clock.pair).read(0.0, 2)
    assert told is not None and [to_iso(t) for t in told.times] == ["2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.500Z"]


def test_simulator_ends_after_its_duration() -> None:
    source = Simulator(SimulatorOptions(speed=0, duration_s=12), Clock().pair)
    assert len(drain(source).times) == 12 and source.finished and source.paced


def test_restart_continues_with_the_next_row() -> None:  # 16
    clock = Clock()
    options = SimulatorOptions(speed=0, seed=9, fault="valve", fault_start_s=20, duration_s=200)
    whole = drain(Simulator(options, clock.pair))
    first = Simulator(options, clock.pair)
    head = first.read(0.0, 77)
    clock.now += 1000  # later, and yet the same event times
    second = Simulator(options, clock.pair, json.loads(json.dumps(first.checkpoint())))
    tail = drain(second)
    assert head is not None
    assert np.array_equal(np.concatenate([head.times, tail.times]), whole.times)
    assert np.array_equal(np.concatenate([head.values, tail.values]), whole.values)


def test_invalid_options_are_reported_with_the_valid_ones() -> None:
    with pytest.raises(OptionsError) as caught:
        read(SimulatorOptions, {"fault": "leak", "fault_channel": "noise", "start_time": "soon"}, "assets.a.options")
    assert len(caught.value.faults) == 3
    leak, noise, soon = caught.value.faults
    assert "assets.a.options.fault`" in leak and "'leak'" in leak and "cavitation" in leak
    assert "vibration_1" in noise and "ISO 8601" in soon


def live(clock: Clock, checkpoint: Any = None, **options: Any) -> Simulator:
    return Simulator(SimulatorOptions(**options), clock.pair, json.loads(json.dumps(checkpoint)))


def ages(source: Simulator, clock: Clock, seconds: int = 20) -> list[float]:
    """Of every row that comes in some seconds of the clock: its age by the wall clock, in s."""
    found: list[float] = []
    for _ in range(seconds):
        block = source.read(clock.now, 100)
        found += [] if block is None else ((clock.wall_ns() - block.times) / SECOND).tolist()
        clock.now += 1
    return found


@pytest.mark.parametrize("down_s", [0.2, 0.9, 3.0, 7.5, 600.25, 86_400 * 400.0])
@pytest.mark.parametrize("interval_s", [0.5, 1.0, 60.0])
def test_rows_after_a_downtime_have_the_present_time(down_s: float, interval_s: float) -> None:  # 16
    clock = Clock()
    first = live(clock, interval_s=interval_s)
    last = first.read(clock.now, 100)
    clock.now += down_s
    second = live(clock, first.checkpoint(), interval_s=interval_s)
    times = [int(last.times[-1])] if last is not None else []
    for _ in range(130):
        block = second.read(clock.now, 1)
        if block is not None:
            age_s = (clock.wall_ns() - int(block.times[0])) / SECOND
            assert -1e-6 <= age_s < max(interval_s, 1.0) + 1.0
            times.append(int(block.times[0]))
        clock.now += second.wait(clock.now, 1) or 0.1
    steps = np.diff(times)
    assert len(times) > 100 and (steps > 0).all(), "time never runs backwards"
    assert (steps[1:] == interval_s * SECOND).all() and steps[0] >= interval_s * SECOND


def test_skid_does_not_change_while_its_process_is_down() -> None:  # 16
    clock = Clock()
    options = {"seed": 9, "fault": "valve", "fault_start_s": 20.0}
    whole = live(Clock(), **options).read(0.0, 1)
    first = live(clock, **options)
    head = [first.read(clock.now + i, 1) for i in range(30)]
    clock.now += 1000
    second = live(clock, first.checkpoint(), **options)
    tail = [second.read(clock.now + i, 1) for i in range(30)]
    same = Simulator(SimulatorOptions(speed=0, **options), clock.pair)  # type: ignore[arg-type]
    expected = same.read(0.0, 60)
    assert whole is not None and expected is not None
    values = np.concatenate([block.values for block in (*head, *tail) if block is not None])
    assert np.array_equal(values, expected.values)


def test_rows_follow_steps_of_the_clock_and_suspends() -> None:  # 16
    clock = Clock()
    source = live(clock)
    assert max(ages(source, clock)) < 1
    for step_s in (3600.0, 2.5, -1800.0, -3.25):
        wall_ns = clock.wall_ns
        clock.wall_ns = lambda wall_ns=wall_ns, step_s=step_s: wall_ns() + round(step_s * SECOND)  # type: ignore[method-assign]
        source._wall_ns = clock.wall_ns
        assert all(0 <= age < 1 for age in ages(source, clock)), step_s


def test_slow_tick_shifts_no_row() -> None:  # 16
    clock = Clock()
    source = live(clock)
    ages(source, clock)
    times: list[int] = []
    for waited_s in (0.0, 7.0, 0.0, 0.0):
        tick_began = clock.now
        clock.now += waited_s  # another asset's message waited for the broker
        while (block := source.read(tick_began, 5)) is not None:
            times += block.times.tolist()
        clock.now += 1
    steps = np.diff(times)
    assert (steps == SECOND).all() and len(times) >= 10


def test_small_clock_adjustment_shifts_no_row() -> None:  # 16
    clock = Clock()
    source = live(clock)
    ages(source, clock)
    for step_s in (1.9, -1.9):
        source._wall_ns = lambda step_s=step_s: clock.wall_ns() + round(step_s * SECOND)
        block = source.read(clock.now, 100)
        assert block is not None and (block.times % SECOND == 0).all() and len(block.times) == 1
        clock.now += 1


def test_rows_with_a_start_time_or_another_speed_continue() -> None:  # 16
    for options in ({"start_time": "2026-01-31T12:00:00Z"}, {"speed": 10.0}, {"speed": 0.0}):
        clock = Clock()
        first = live(clock, **options)
        before = first.read(clock.now, 1)
        clock.now += 1000
        after = live(clock, first.checkpoint(), **options).read(clock.now, 1)
        assert before is not None and after is not None and after.times[0] - before.times[0] == SECOND


def test_clock_set_to_1970_loses_no_checkpoint() -> None:  # 16
    clock = Clock()
    source = live(clock)
    ages(source, clock, 50)
    clock.wall_ns = lambda: 10 * SECOND + round((clock.now - 150.0) * SECOND)  # type: ignore[method-assign]
    source._wall_ns = clock.wall_ns
    assert all(0 <= age < 1 for age in ages(source, clock, 5))
    again = live(clock, source.checkpoint())
    block = again.read(clock.now, 5)
    assert block is not None and block.times.tolist() == [15 * SECOND] and source.checkpoint()["start_ns"] < 0
