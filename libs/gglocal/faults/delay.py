"""Delays responses or deliveries."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.core.fault_injection import CallFilter
from gglocal.faults.base import End, Target, TimedOptions


@dataclass(frozen=True, kw_only=True)
class Options(TimedOptions):
    """
    Attributes:
        by_s: seconds.
        operation, component, topic: which calls or, for deliveries, which subscriptions.
    """

    by_s: float = 1.0
    operation: str = ""
    component: str = ""
    topic: str = ""


async def responses(target: Target, options: Options) -> End | None:
    return target.engine.core.fault_injector.delay_responses(CallFilter(options.operation, options.component, options.topic), options.by_s)


async def deliveries(target: Target, options: Options) -> End | None:
    return target.engine.core.fault_injector.delay_deliveries(CallFilter(options.operation, options.component, options.topic), options.by_s)
