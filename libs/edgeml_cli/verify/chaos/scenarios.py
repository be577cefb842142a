"""Runs whose faults are planned by hand, beside those at random: each is judged by the same promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeml_cli.verify.chaos.fault_schedule import ScheduledFault
from edgeml_cli.verify.chaos.machines import SPEED, Machine, machines, simulated

BROKER_DOWN_S = 60.0
INFERENCE = "com.edgeml.Inference"
LEARNED_S = 400 / SPEED
"""When a machine that begins with the run has shown the rows of its baseline."""


@dataclass(frozen=True)
class Scenario:
    """
    Attributes:
        seconds: how long it is disturbed.
        make: the machines, from a seed, the seconds and the event time of the first row, ISO 8601.
        learned: whether their baselines are there before the run.
        shim: whether a fault needs gglocal's shim, and so a C compiler.
    """

    seconds: float
    strikes: tuple[ScheduledFault, ...]
    make: Callable[[int, float, str], list[Machine]] = machines
    learned: bool = True
    shim: bool = False


def _learning(seed: int, seconds: float, start_time: str) -> list[Machine]:
    # One fails when its baseline is long learned; one only after Inference was killed: learned again by then, it would look normal.
    return [
        simulated(f"pump-{number}", seed + number, SPEED, seconds * SPEED, begins_s * SPEED, start_time, "valve")
        for number, begins_s in ((1, 35.0), (2, 53.0))
    ]


def _shorter(seed: int, seconds: float, start_time: str) -> list[Machine]:
    # A source that waits for answers goes on, after a minute without any, where it was: it takes so much longer.
    return machines(seed, seconds - BROKER_DOWN_S, start_time)


SCENARIOS: dict[str, Scenario] = {
    "broker-away": Scenario(105.0, (ScheduledFault(12.0, "ipc-restart", {"down_s": BROKER_DOWN_S}, BROKER_DOWN_S),), make=_shorter),
    "disk-full-while-learning": Scenario(
        75.0,
        (
            ScheduledFault(LEARNED_S - 6.0, "disk-full", {"component": INFERENCE, "for_s": 12.0}, 12.0),
            ScheduledFault(LEARNED_S + 29.0, "kill", {"component": INFERENCE}),
        ),
        make=_learning,
        learned=False,
        shim=True,
    ),
}
