"""Fails writes below a component's work directory with ENOSPC."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.faults.base import End, Target, TimedOptions


@dataclass(frozen=True, kw_only=True)
class Options(TimedOptions):
    component: str


async def begin(target: Target, options: Options) -> End | None:
    library = target.engine.preload_library(options.component)
    library.fill_disk(options.component, 1)
    return lambda: library.fill_disk(options.component, -1)
