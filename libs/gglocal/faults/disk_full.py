"""Nothing can be written under a component's work directory (ENOSPC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gglocal.faults.base import End, Lasting

if TYPE_CHECKING:
    from gglocal.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    component: str


async def begin(engine: Engine, options: Options) -> End | None:
    shim = engine.shim_of(options.component)
    shim.fill_disk(options.component, 1)
    return lambda: shim.fill_disk(options.component, -1)
