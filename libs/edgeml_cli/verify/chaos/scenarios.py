"""Runs with planned instead of random faults; the same invariants apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeml_cli.verify.chaos.fault_schedule import ScheduledFault
from edgeml_cli.verify.chaos.machines import SPEED, Machine, machines, simulated

BROKER_DOWN_S = 60.0
INFERENCE = "com.edgeml.Inference"
BASELINE_READY_S = 400 / SPEED
"""Time at which a machine that starts with the run has sent the rows of its baseline."""


@dataclass(frozen=True)
class Scenario:
    """A run with planned faults.

    Attributes:
        seconds: duration of the disturbance.
        scheduled: the faults.
        make: creates the machines from a seed, the duration and the event time of the first row (ISO 8601).
        learned: whether the machines' baselines exist before the run.
        shim: whether a fault needs gglocal's preload library, and so a C compiler.
    """

    seconds: float
    scheduled: tuple[ScheduledFault, ...]
    make: Callable[[int, float, str], list[Machine]] = machines
    learned: bool = True
    shim: bool = False


def _learning(seed: int, seconds: float, start_time: str) -> list[Machine]:
    # One machine fails long after learning. The other fails only after Inference was killed: if its baseline were
    # learned again from then on, the fault would look normal.
    return [
        simulated(f"pump-{number}", seed + number, SPEED, seconds * SPEED, begins_s * SPEED, start_time, "valve")
        for number, begins_s in ((1, 35.0), (2, 53.0))
    ]


def _shorter(seed: int, seconds: float, start_time: str) -> list[Machine]:
    # A source that waits for results pauses while the broker is away, so it takes that much longer.
    return machines(seed, seconds - BROKER_DOWN_S, start_time)


SCENARIOS: dict[str, Scenario] = {
    "broker-away": Scenario(105.0, (ScheduledFault(12.0, "ipc-restart", {"down_s": BROKER_DOWN_S}, BROKER_DOWN_S),), make=_shorter),
    "disk-full-while-learning": Scenario(
        75.0,
        (
            ScheduledFault(BASELINE_READY_S - 6.0, "disk-full", {"component": INFERENCE, "for_s": 12.0}, 12.0),
            ScheduledFault(BASELINE_READY_S + 29.0, "kill", {"component": INFERENCE}),
        ),
        make=_learning,
        learned=False,
        shim=True,
    ),
}
