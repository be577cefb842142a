"""Simulates a restart of the configuration store: authorization fails, and configuration subscriptions are dropped."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.core.fault_injection import CallFilter
from gglocal.faults.base import End, Target, TimedOptions
from gglocal.ipc.operations import OPERATIONS

_AUTHORIZED = ",".join(record.name for record in OPERATIONS.values() if record.service)
_CONFIGURATION = "GetConfiguration,UpdateConfiguration,SubscribeToConfigurationUpdate"


@dataclass(frozen=True, kw_only=True)
class Options(TimedOptions):
    for_s: float = 2.0


async def begin(target: Target, options: Options) -> End | None:
    target.engine.drop_watchers()
    injector = target.engine.core.fault_injector
    ends = [
        injector.refuse(CallFilter(_AUTHORIZED), "UnauthorizedError"),
        injector.refuse(CallFilter(_CONFIGURATION), "ServiceError"),
    ]

    def end() -> None:
        for each in ends:
            each()

    return end
