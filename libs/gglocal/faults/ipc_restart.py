"""The IPC broker restarts: connections are cut, and every SVCUID that it gave out is refused from then on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gglocal.faults.base import End, Target


@dataclass(frozen=True)
class Options:
    """
    Attributes:
        down_s: seconds for which nobody listens.
    """

    down_s: float = 0.2


async def begin(target: Target, options: Options) -> End | None:
    await target.ipc.close()
    target.engine.new_tokens()
    await asyncio.sleep(options.down_s)
    await target.ipc.start()
    return None
