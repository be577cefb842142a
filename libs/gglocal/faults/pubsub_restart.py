"""The publish/subscribe broker restarts: its operations fail for a moment, and every local subscription is dead, without a word."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gglocal.core.fault_injection import CallFilter
from gglocal.faults.base import End, Target


@dataclass(frozen=True)
class Options:
    """
    Attributes:
        down_s: seconds for which its operations are a ServiceError; 0: subscriptions die, and nothing else is seen.
    """

    down_s: float = 0.2


async def begin(target: Target, options: Options) -> End | None:
    target.engine.core.pubsub.forget_all()
    if options.down_s:
        end = target.engine.core.interference.refuse(CallFilter("PublishToTopic,SubscribeToTopic"), "ServiceError")
        await asyncio.sleep(options.down_s)
        end()
    return None
