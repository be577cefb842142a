"""The source `simulator`: README 1, 2, 16."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeml.errors import OptionsError
from edgeml.options import read
from edgeml.times import SECOND, to_iso
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


def test_faster_fills_its_blocks() -> None:  # 2
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


def test_times_begin_now_or_where_they_are_told() -> None:
    clock = Clock()
    block = Simulator(SimulatorOptions(speed=0), clock.pair).read(0.0, 3)
    assert block is not None and block.times.tolist() == [T0, T0 + SECOND, T0 + 2 * SECOND]
    told = Simulator(SimulatorOptions(speed=0, start_time="2026-01-31 12:00:00", interval_s=0.5), clock.pair).read(0.0, 2)
    assert told is not None and [to_iso(t) for t in told.times] == ["2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.500Z"]


def test_it_ends_after_its_duration() -> None:
    source = Simulator(SimulatorOptions(speed=0, duration_s=12), Clock().pair)
    assert len(drain(source).times) == 12 and source.finished and source.paced


def test_a_restart_goes_on_with_the_next_row() -> None:  # 16
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


def test_faults_in_its_options_name_what_is_valid() -> None:
    with pytest.raises(OptionsError) as caught:
        read(SimulatorOptions, {"fault": "leak", "fault_channel": "noise", "start_time": "soon"}, "assets.a.options")
    assert len(caught.value.faults) == 3
    leak, noise, soon = caught.value.faults
    assert "assets.a.options.fault`" in leak and "'leak'" in leak and "cavitation" in leak
    assert "vibration_1" in noise and "ISO 8601" in soon
