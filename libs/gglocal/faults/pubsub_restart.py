"""Simulates a restart of the publish/subscribe broker: operations fail, and local subscriptions are dropped without notice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gglocal.core.fault_injection import CallFilter
from gglocal.faults.base import End, Target
from gglocal.ipc.operation import PUBSUB
from gglocal.ipc.operations import OPERATIONS

_PUBSUB = ",".join(record.name for record in OPERATIONS.values() if record.service == PUBSUB)


@dataclass(frozen=True)
class Options:
    """
    Attributes:
        down_s: seconds during which its operations return ServiceError; 0: only subscriptions are dropped.
    """

    down_s: float = 0.2


async def begin(target: Target, options: Options) -> End | None:
    target.engine.core.pubsub.drop_all()
    if options.down_s:
        end = target.engine.core.fault_injector.refuse(CallFilter(_PUBSUB), "ServiceError")
        await asyncio.sleep(options.down_s)
        end()
    return None
