"""The IPC broker restarts: connections are cut, and every SVCUID that it gave out is refused from then on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gglocal.faults.base import End

if TYPE_CHECKING:
    from gglocal.engine import Engine


@dataclass(frozen=True)
class Options:
    """
    Attributes:
        down_s: seconds for which nobody listens.
    """

    down_s: float = 0.2


async def begin(engine: Engine, options: Options) -> End | None:
    await engine.ipc.close()
    engine.new_tokens()
    await asyncio.sleep(options.down_s)
    await engine.ipc.start()
    return None
