"""Schedules the faults of a run: seeded, in overlapping bursts, with calm periods in which the pipeline must recover.

Pure: a seed and a duration in, a list out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

FIRST_BURST_S = 4.0
BURST_DURATION_S = 7.0
BURST_INTERVAL_S = 20.0
"""From the start of one burst to the next; the calm period is longer than the time allowed for recovery."""
FAULTS_PER_BURST = 6
MACHINE_SETTLE_S = 6.0
"""Time without scores allowed after a machine's clock was set back, while windows refill."""
MAX_RELAUNCHES = 2
"""Most relaunching faults per component: a third error within the nucleus's window would leave it BROKEN."""


@dataclass(frozen=True, order=True)
class ScheduledFault:
    """A fault at `at` seconds after the start of the run; a `duration_s` of 0 is instantaneous."""

    at: float
    name: str
    options: dict[str, Any] = field(compare=False)
    duration_s: float = field(default=0.0, compare=False)


FaultFactory = Callable[[random.Random, Sequence[str]], tuple[dict[str, Any], float]]


def _timed(shortest: float, longest: float, component: bool = False, **more: Any) -> FaultFactory:
    def draw(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
        seconds = round(chance.uniform(shortest, longest), 2)
        aimed = {"component": chance.choice(components)} if component else {}
        return {"for_s": seconds, **aimed, **more}, seconds

    return draw


def _refusal(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    options, seconds = _timed(0.5, 5.0, component=True)(chance, components)
    operation = chance.choice(("PublishToTopic", "SubscribeToTopic", "PublishToIoTCore", "SubscribeToIoTCore", "GetConfiguration", ""))
    return options | {"operation": operation, "error": chance.choice(("UnauthorizedError", "ServiceError"))}, seconds


def _delay(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    options, seconds = _timed(1.0, 5.0, component=True)(chance, components)
    by_s = round(chance.uniform(0.1, 2.0), 2)
    # The fault ends when the last delayed message has arrived.
    return options | {"by_s": by_s}, seconds + by_s


def _restart(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    down_s = chance.choice((0.0, 0.2, 1.0))
    return {"down_s": down_s}, down_s


def _clock(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    options, seconds = _timed(1.0, 6.0, component=True)(chance, components)
    return options | {"by_s": round(chance.choice((-1, 1)) * chance.choice((3.0, 60.0, 86_400.0)) * chance.uniform(0.5, 1.5), 1)}, seconds


def _row_ahead(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    return {"by_s": chance.choice((3600, 86_400, 5 * 365 * 86_400))}, 0.0


def _source_step(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    return {"by_s": -chance.randrange(3600, 4000)}, MACHINE_SETTLE_S


KINDS: dict[str, FaultFactory] = {
    "pubsub-restart": _restart,
    "config-restart": _timed(0.5, 5.0),
    "refuse": _refusal,
    "delay-answers": _delay,
    "delay-deliveries": _delay,
    "iot-cut": _timed(1.0, 6.0),
    "iot-lose": _timed(0.5, 4.0),
    "pause": _timed(0.5, 5.0, component=True),
    "disk-full": _timed(0.5, 5.0, component=True),
    "clock-step": _clock,
    "row-from-the-future": _row_ahead,
    "source-clock-step": _source_step,
}
"""Faults that can be drawn any number of times."""
NEEDS_PRELOAD = ("disk-full", "clock-step")
"""Faults that need gglocal's preload library, and so a C compiler."""
RELAUNCHING = ("kill", "ipc-restart")
MACHINE_FAULTS = {"row-from-the-future": "ahead", "source-clock-step": "step"}
"""Faults of a machine's clock, with their names in `edgeml_cli.verify.chaos.clocked_machine`; the nucleus injects all others."""


def schedule(seed: int, seconds: float, components: Sequence[str], shim: bool = True) -> list[ScheduledFault]:
    """The faults of one run of `seconds`, in order; relaunching faults stay within the nucleus's limit.

    Args:
        shim: whether gglocal's preload library is available.
    """
    chance = random.Random(seed)
    moments = [round(begin + chance.uniform(0, BURST_DURATION_S), 2) for begin in _bursts(seconds) for _ in range(FAULTS_PER_BURST)]
    drawn = _relaunching(chance, components)[: len(moments) // 2]
    deck: list[str] = []
    while len(drawn) < len(moments):
        # Draw every kind once before any is repeated, in an order determined by the seed.
        kinds = [name for name in KINDS if shim or name not in NEEDS_PRELOAD]
        deck = deck or chance.sample(kinds, len(kinds))
        name = deck.pop()
        drawn.append((name, *KINDS[name](chance, components)))
    chance.shuffle(drawn)
    return sorted(ScheduledFault(at, name, options, lasts) for at, (name, options, lasts) in zip(moments, drawn, strict=True))


def _bursts(seconds: float) -> list[float]:
    """The start of each burst; the last one leaves time for recovery."""
    begins: list[float] = []
    at = FIRST_BURST_S
    while at + BURST_INTERVAL_S <= seconds or not begins:
        begins.append(at)
        at += BURST_INTERVAL_S
    return begins


def _relaunching(chance: random.Random, components: Sequence[str]) -> list[tuple[str, dict[str, Any], float]]:
    restarts = chance.randint(0, MAX_RELAUNCHES)
    kills = [name for name in components for _ in range(MAX_RELAUNCHES - restarts)]
    chance.shuffle(kills)
    drawn: list[tuple[str, dict[str, Any], float]] = [("ipc-restart", {"down_s": 0.2}, 0.2)] * restarts
    drawn += [("kill", {"component": name}, 0.0) for name in kills]
    chance.shuffle(drawn)
    return drawn
