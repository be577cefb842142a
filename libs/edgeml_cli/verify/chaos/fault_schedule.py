"""Which faults come when: seeded, in bursts that overlap, with calm between them in which everything must mend itself.

Pure: a seed and a length in, a list out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

FIRST_S = 4.0
BURST_S = 7.0
PERIOD_S = 20.0
"""From burst to burst; the calm between them is longer than what a recovery may take."""
PER_BURST = 6
MACHINE_SETTLE_S = 6.0
"""For so long a machine whose clock was set back need not be judged: windows fill from nothing, at many rows a second."""
MAX_RELAUNCHES = 2
"""Relaunching faults for each component, at most: a third error within the nucleus's window would leave it BROKEN."""


@dataclass(frozen=True, order=True)
class ScheduledFault:
    """One fault: `at` seconds after the run began; it lasts `lasts_s` seconds, 0: over at once."""

    at: float
    name: str
    options: dict[str, Any] = field(compare=False)
    lasts_s: float = field(default=0.0, compare=False)


Draw = Callable[[random.Random, Sequence[str]], tuple[dict[str, Any], float]]


def _lasting(shortest: float, longest: float, component: bool = False, **more: Any) -> Draw:
    def draw(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
        seconds = round(chance.uniform(shortest, longest), 2)
        aimed = {"component": chance.choice(components)} if component else {}
        return {"for_s": seconds, **aimed, **more}, seconds

    return draw


def _refused(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    options, seconds = _lasting(0.5, 5.0, component=True)(chance, components)
    operation = chance.choice(("PublishToTopic", "SubscribeToTopic", "PublishToIoTCore", "SubscribeToIoTCore", "GetConfiguration", ""))
    return options | {"operation": operation, "error": chance.choice(("UnauthorizedError", "ServiceError"))}, seconds


def _late(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    options, seconds = _lasting(1.0, 5.0, component=True)(chance, components)
    by_s = round(chance.uniform(0.1, 2.0), 2)
    # What was delayed last comes so much later: only then is the fault over.
    return options | {"by_s": by_s}, seconds + by_s


def _restarted(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    down_s = chance.choice((0.0, 0.2, 1.0))
    return {"down_s": down_s}, down_s


def _clock(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    options, seconds = _lasting(1.0, 6.0, component=True)(chance, components)
    return options | {"by_s": round(chance.choice((-1, 1)) * chance.choice((3.0, 60.0, 86_400.0)) * chance.uniform(0.5, 1.5), 1)}, seconds


def _one_ahead(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    return {"by_s": chance.choice((3600, 86_400, 5 * 365 * 86_400))}, 0.0


def _source_step(chance: random.Random, components: Sequence[str]) -> tuple[dict[str, Any], float]:
    return {"by_s": -chance.randrange(3600, 4000)}, MACHINE_SETTLE_S


KINDS: dict[str, Draw] = {
    "pubsub-restart": _restarted,
    "config-restart": _lasting(0.5, 5.0),
    "refuse": _refused,
    "delay-answers": _late,
    "delay-deliveries": _late,
    "iot-cut": _lasting(1.0, 6.0),
    "iot-lose": _lasting(0.5, 4.0),
    "pause": _lasting(0.5, 5.0, component=True),
    "disk-full": _lasting(0.5, 5.0, component=True),
    "clock-step": _clock,
    "row-from-the-future": _one_ahead,
    "source-clock-step": _source_step,
}
"""What can be drawn any number of times."""
NEEDS_PRELOAD = ("disk-full", "clock-step")
"""What needs gglocal's shim, and so a C compiler."""
RELAUNCHING = ("kill", "ipc-restart")
MACHINE_FAULTS = {"row-from-the-future": "ahead", "source-clock-step": "step"}
"""Faults of a machine's own clock, and what `edgeml_cli.verify.chaos.clocked_machine` calls them; all others are the nucleus's."""


def schedule(seed: int, seconds: float, components: Sequence[str], shim: bool = True) -> list[ScheduledFault]:
    """The faults of one run of `seconds`, in order; no kind that relaunches comes more often than the nucleus bears.

    Args:
        shim: whether what needs it can be had.
    """
    chance = random.Random(seed)
    moments = [round(begin + chance.uniform(0, BURST_S), 2) for begin in _bursts(seconds) for _ in range(PER_BURST)]
    drawn = _relaunching(chance, components)[: len(moments) // 2]
    deck: list[str] = []
    while len(drawn) < len(moments):
        # Each kind comes in its turn, in an order of this seed: none is missed by chance.
        kinds = [name for name in KINDS if shim or name not in NEEDS_PRELOAD]
        deck = deck or chance.sample(kinds, len(kinds))
        name = deck.pop()
        drawn.append((name, *KINDS[name](chance, components)))
    chance.shuffle(drawn)
    return sorted(ScheduledFault(at, name, options, lasts) for at, (name, options, lasts) in zip(moments, drawn, strict=True))


def _bursts(seconds: float) -> list[float]:
    """When each begins: the last leaves time to mend before the end."""
    begins: list[float] = []
    at = FIRST_S
    while at + PERIOD_S <= seconds or not begins:
        begins.append(at)
        at += PERIOD_S
    return begins


def _relaunching(chance: random.Random, components: Sequence[str]) -> list[tuple[str, dict[str, Any], float]]:
    restarts = chance.randint(0, MAX_RELAUNCHES)
    kills = [name for name in components for _ in range(MAX_RELAUNCHES - restarts)]
    chance.shuffle(kills)
    drawn: list[tuple[str, dict[str, Any], float]] = [("ipc-restart", {"down_s": 0.2}, 0.2)] * restarts
    drawn += [("kill", {"component": name}, 0.0) for name in kills]
    chance.shuffle(drawn)
    return drawn
