"""A component's wall clock is set on or back; its monotonic clock goes on."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.faults.base import End, Lasting, Target


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    """
    Attributes:
        by_s: seconds; below 0: back. At the end it is set back by the same.
    """

    component: str
    by_s: float = 3600.0


async def begin(target: Target, options: Options) -> End | None:
    shim = target.engine.shim_of(options.component)
    shim.step_clock(options.component, options.by_s)
    return lambda: shim.step_clock(options.component, -options.by_s)
