"""The configuration store restarts: nothing can be authorized for a while, and subscriptions to configuration die, without a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gglocal.faults.base import End, Lasting
from gglocal.interference import Matching

if TYPE_CHECKING:
    from gglocal.engine import Engine

_AUTHORIZED = "PublishToTopic,SubscribeToTopic,PublishToIoTCore,SubscribeToIoTCore"
_ITS_OWN = "GetConfiguration,UpdateConfiguration,SubscribeToConfigurationUpdate"


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    for_s: float = 2.0


async def begin(engine: Engine, options: Options) -> End | None:
    engine.forget_watchers()
    interference = engine.core.interference
    ends = [
        interference.refuse(Matching(_AUTHORIZED), "UnauthorizedError"), interference.refuse(Matching(_ITS_OWN), "ServiceError"),
    ]

    def end() -> None:
        for each in ends:
            each()

    return end
