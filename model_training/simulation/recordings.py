"""Runs a simulation and writes its recordings: `history.csv` of normal running, and `faulty.csv` of the days after it, with a fault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from model_training.simulation.records import Course, Simulation, SimulationError
from model_training.simulation.signals import measured

HISTORY, FAULTY = "history.csv", "faulty.csv"
TIME, LABEL = "time", "fault"
DAY_H = 24.0


@dataclass(frozen=True)
class Plan:
    """The recordings to make.

    Attributes:
        days: days of normal running in the history.
        normal_days: whole days of normal running in the second recording, before the day of the fault.
        fault_days: days of the fault.
        fault: its name; empty: no fault.
        size: size of the fault; 1 is the one that its summary states, 0 changes nothing.
        seed: of all chance.
        wear: see `Course`.
    """

    days: int
    normal_days: int
    fault_days: int
    fault: str
    size: float
    seed: int
    wear: float = 1.0


@dataclass(frozen=True)
class Table:
    """A recording: time of each row, readings (n, c), and whether the fault is present (n,)."""

    times: list[str]
    readings: np.ndarray
    faulty: np.ndarray


def simulate(simulation: Simulation, plan: Plan) -> tuple[Table, Table]:
    """The history and the later recording, cut from one course of the machine.

    Raises:
        SimulationError: the fault is unknown.
    """
    if plan.fault and plan.fault not in simulation.faults:
        raise SimulationError(f"--fault {plan.fault!r} is unknown; choose one of {', '.join(simulation.faults)}")
    step_h = simulation.step_s / 3600
    begin = onset(simulation, DAY_H * (plan.days + plan.normal_days))
    rows = round((begin + DAY_H * plan.fault_days) / step_h)
    hours = np.arange(rows) * step_h
    sizes = {name: np.zeros(rows) for name in simulation.faults}
    if plan.fault:
        ramp = simulation.faults[plan.fault].hours
        since = hours - begin + step_h
        sizes[plan.fault] = plan.size * (np.clip(since / ramp, 0, 1) if ramp else (since > step_h / 2).astype(float))
    faulty = (hours >= begin - step_h / 2) & bool(plan.fault) & (plan.size != 0)
    values = simulation.run(Course(hours, simulation.step_s, sizes, plan.seed, plan.wear))
    sensors = simulation.sensors
    readings = measured(sensors, np.stack([values[sensor.name] for sensor in sensors], axis=1), simulation.step_s, plan.seed)
    times = [(simulation.start + timedelta(seconds=row * simulation.step_s)).isoformat() for row in range(rows)]
    cut = round(DAY_H * plan.days / step_h)
    return Table(times[:cut], readings[:cut], faulty[:cut]), Table(times[cut:], readings[cut:], faulty[cut:])


def write(simulation: Simulation, table: Table, path: Path) -> None:
    """Write a recording as CSV: time, the sensors with their units, and 1 in the last column where the fault is present."""
    digits = [max(0, -int(np.floor(np.log10(sensor.resolution) + 1e-9))) for sensor in simulation.sensors]
    columns = [
        ["" if value != value else f"{value + 0.0:.{places}f}" for value in column.tolist()]
        for column, places in zip(table.readings.T, digits, strict=True)
    ]
    lines = [",".join([TIME, *(sensor.heading for sensor in simulation.sensors), LABEL])]
    lines += [",".join(row) for row in zip(table.times, *columns, np.where(table.faulty, "1", "0").tolist(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def onset(simulation: Simulation, earliest: float) -> float:
    """Hour of the fault's first row: the first onset hour, from `earliest` on, at which the machine normally runs."""
    for day in range(8):
        hour = earliest + DAY_H * day + simulation.onset_hour
        if bool(simulation.running(np.array([hour]))[0]):
            return hour
    return earliest + simulation.onset_hour
