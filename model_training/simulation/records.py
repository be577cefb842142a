"""The declaration of a simulated machine: its channels, its faults, and the function that runs it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np


class SimulationError(Exception):
    """A simulation cannot be run as asked; the text is one sentence for the user."""


@dataclass(frozen=True)
class Sensor:
    """A column of the table.

    Attributes:
        noise: standard deviation of a reading, in `unit`.
        resolution: step between two readings, in `unit`.
    """

    name: str
    unit: str
    resolution: float
    noise: float = 0.0

    @property
    def heading(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Fault:
    """A fault that can be injected.

    Attributes:
        summary: one line of help.
        hours: from its onset to its full size; 0: at once.
    """

    summary: str
    hours: float = 0.0


@dataclass(frozen=True)
class Course:
    """The rows that a machine is simulated for.

    Attributes:
        hours: (n,) hours since midnight of a Monday, in the local time of the machine.
        step_s: seconds from row to row.
        faults: the size of each fault of the machine in each row, (n,): 0 without it, 1 at its full size.
        seed: of all chance; see `random`.
        wear: rate of slow changes that are normal, such as dust; 1 is the machine's usual one.
    """

    hours: np.ndarray
    step_s: float
    faults: Mapping[str, np.ndarray]
    seed: int
    wear: float = 1.0

    def __len__(self) -> int:
        return len(self.hours)

    def random(self, name: str) -> np.random.Generator:
        """A generator for one purpose. With one for each signal, a longer course begins as a shorter one of the same seed."""
        return generator(self.seed, name)


def generator(seed: int, name: str) -> np.random.Generator:
    """The random numbers of a seed for one purpose."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


@dataclass(frozen=True)
class Simulation:
    """A machine.

    Attributes:
        summary: one line of help.
        start: local time of its first row, a Monday at midnight, with a zone.
        step_s: seconds from row to row.
        onset_hour: hour of the day at which a fault begins.
        running: for each hour of `Course.hours`, whether the machine normally runs then; a fault begins on a day on which it does.
        run: true values of each sensor by name, (n,), before noise and resolution.
    """

    summary: str
    start: datetime
    step_s: float
    onset_hour: float
    sensors: tuple[Sensor, ...]
    faults: Mapping[str, Fault]
    running: Callable[[np.ndarray], np.ndarray]
    run: Callable[[Course], Mapping[str, np.ndarray]]
