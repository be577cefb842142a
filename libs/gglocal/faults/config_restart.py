"""The configuration store restarts: nothing can be authorized for a while, and subscriptions to configuration die, without a word."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.core.fault_injection import CallFilter
from gglocal.faults.base import End, Lasting, Target

_AUTHORIZED = "PublishToTopic,SubscribeToTopic,PublishToIoTCore,SubscribeToIoTCore"
_ITS_OWN = "GetConfiguration,UpdateConfiguration,SubscribeToConfigurationUpdate"


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    for_s: float = 2.0


async def begin(target: Target, options: Options) -> End | None:
    target.engine.forget_watchers()
    interference = target.engine.core.interference
    ends = [
        interference.refuse(CallFilter(_AUTHORIZED), "UnauthorizedError"),
        interference.refuse(CallFilter(_ITS_OWN), "ServiceError"),
    ]

    def end() -> None:
        for each in ends:
            each()

    return end
