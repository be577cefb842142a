"""Nothing can be written under a component's work directory (ENOSPC)."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.faults.base import End, Lasting, Target


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    component: str


async def begin(target: Target, options: Options) -> End | None:
    shim = target.engine.shim_of(options.component)
    shim.fill_disk(options.component, 1)
    return lambda: shim.fill_disk(options.component, -1)
