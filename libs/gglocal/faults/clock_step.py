"""Steps a component's wall clock; its monotonic clock is not affected."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.faults.base import End, Target, TimedOptions


@dataclass(frozen=True, kw_only=True)
class Options(TimedOptions):
    """
    Attributes:
        by_s: seconds; negative: back. The end of the fault reverts the step.
    """

    component: str
    by_s: float = 3600.0


async def begin(target: Target, options: Options) -> End | None:
    library = target.engine.preload_library(options.component)
    library.step_clock(options.component, options.by_s)
    return lambda: library.step_clock(options.component, -options.by_s)
