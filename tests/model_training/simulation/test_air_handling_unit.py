"""The air handling unit: its balances, and the traces that its faults leave."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest
from model_training.simulation.air_handling_unit import HIGH, OFF, SIMULATION, schedule
from model_training.simulation.records import Course

HOURS = np.arange(0, 4 * 24, 1 / 60)


@functools.cache
def values(fault: str = "") -> Mapping[str, np.ndarray]:
    """Monday to Thursday, with the fault at full size from Tuesday on."""
    faults = {name: np.where((HOURS >= 24) & (name == fault), 1.0, 0.0) for name in SIMULATION.faults}
    return SIMULATION.run(Course(HOURS, 60.0, faults, 1))


NORMAL = values()
WORKING = schedule(HOURS) == HIGH
LATER = WORKING & (HOURS >= 48)


def test_schedule_is_weekly() -> None:
    assert schedule(np.array([3.0, 6.5, 12.0, 19.0, 21.0])).tolist() == [0, 1, 2, 1, 0]
    assert schedule(np.array([5 * 24 + 10.0, 5 * 24 + 14.0, 6 * 24 + 12.0])).tolist() == [1, 0, 0]
    assert (schedule(HOURS + 7 * 24) == schedule(HOURS)).all()


def test_unit_at_rest_moves_no_air_and_draws_little_power() -> None:
    rest = np.convolve(NORMAL["mode"] != OFF, np.ones(10))[: len(HOURS)] == 0
    assert NORMAL["fan_speed"][rest].max() == 0 and NORMAL["filter_pressure_drop"][rest].max() == 0
    assert NORMAL["power"][rest].max() < 100 < NORMAL["power"][WORKING].mean()


def test_control_keeps_the_setpoint() -> None:
    settled = WORKING & (HOURS % 24 > 9)
    error = NORMAL["supply_temperature"] - NORMAL["supply_setpoint"]
    assert np.abs(error[settled]).mean() < 0.5


def test_filter_pressure_drop_follows_the_fan_squared_and_grows_with_dust() -> None:
    resistance = NORMAL["filter_pressure_drop"][WORKING] / (NORMAL["fan_speed"][WORKING] / 100) ** 2
    assert resistance.std() / resistance.mean() < 0.03
    assert dust(0.0) < 1.001 < dust(3.0) < 1.05


def dust(wear: float) -> float:
    """The filter's resistance on Thursday, as a share of Monday's."""
    faults = {name: np.zeros(len(HOURS)) for name in SIMULATION.faults}
    values = SIMULATION.run(Course(HOURS, 60.0, faults, 1, wear))
    resistance = values["filter_pressure_drop"][WORKING] / (values["fan_speed"][WORKING] / 100) ** 2
    return float(resistance[-300:].mean() / resistance[:300].mean())


def test_room_stays_livable() -> None:
    for name, low, high in (("return_temperature", 15, 27), ("return_humidity", 5, 75), ("co2", 400, 1600), ("heating_valve", 0, 100)):
        assert NORMAL[name].min() >= low and NORMAL[name].max() <= high, name


@pytest.mark.parametrize("fault", SIMULATION.faults)
def test_fault_changes_nothing_before_its_onset(fault: str) -> None:
    before = HOURS < 24
    assert all(np.array_equal(each[before], NORMAL[name][before]) for name, each in values(fault).items())


@pytest.mark.parametrize(
    ("fault", "channel", "low", "high"),
    [
        ("filter_clogs", "filter_pressure_drop", 1.7, 2.0),
        ("fan_belt", "filter_pressure_drop", 0.5, 0.75),
        ("fan_belt", "power", 0.7, 0.95),
        ("fan_belt", "co2", 1.02, 1.4),
        ("sensor_drift", "heating_valve", 0.0, 0.7),
    ],
)
def test_fault_leaves_its_trace(fault: str, channel: str, low: float, high: float) -> None:
    ratio = values(fault)[channel][LATER].mean() / NORMAL[channel][LATER].mean()
    assert low < ratio < high


def test_stuck_valve_loses_the_setpoint_while_its_command_moves() -> None:
    stuck = values("valve_stuck")
    error = stuck["supply_temperature"] - stuck["supply_setpoint"]
    assert np.abs(error[LATER]).mean() > 2
    assert np.abs(stuck["heating_valve"][LATER] - NORMAL["heating_valve"][LATER]).mean() > 10


def test_drifted_sensor_reads_the_setpoint() -> None:
    drifted = values("sensor_drift")
    settled = LATER & (HOURS % 24 > 9)
    assert np.abs(drifted["supply_temperature"] - drifted["supply_setpoint"])[settled].mean() < 1.5
