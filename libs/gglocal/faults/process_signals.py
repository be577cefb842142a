"""Kills a component's processes, or stops them for a while."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from gglocal.errors import NucleusError
from gglocal.faults.base import End, Target, TimedOptions


@dataclass(frozen=True)
class KillOptions:
    """
    Attributes:
        component: its full name.
        signal: its number.
    """

    component: str
    signal: int = int(signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class PauseOptions(TimedOptions):
    component: str


async def kill(target: Target, options: KillOptions) -> End | None:
    target.engine.supervisor.kill(options.component, options.signal)
    return None


async def pause(target: Target, options: PauseOptions) -> End | None:
    target.engine.supervisor.kill(options.component, signal.SIGSTOP)

    def end() -> None:
        try:
            target.engine.supervisor.kill(options.component, signal.SIGCONT)
        except NucleusError:
            pass  # the component was killed, stopped or removed meanwhile

    return end
