"""Simulates a restart of the IPC broker: connections are closed, and every SVCUID is revoked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gglocal.faults.base import End, Target


@dataclass(frozen=True)
class Options:
    """
    Attributes:
        down_s: seconds until the socket accepts connections again.
    """

    down_s: float = 0.2


async def begin(target: Target, options: Options) -> End | None:
    await target.ipc.close()
    target.engine.rotate_tokens()
    await asyncio.sleep(options.down_s)
    await target.ipc.start()
    return None
