"""Answers, or deliveries, come late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gglocal.faults.base import End, Lasting
from gglocal.interference import Matching

if TYPE_CHECKING:
    from gglocal.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    """
    Attributes:
        by_s: seconds.
        operation, component, topic: which calls or, for deliveries, which subscriptions.
    """

    by_s: float = 1.0
    operation: str = ""
    component: str = ""
    topic: str = ""


async def answers(engine: Engine, options: Options) -> End | None:
    return engine.core.interference.delay_answers(Matching(options.operation, options.component, options.topic), options.by_s)


async def deliveries(engine: Engine, options: Options) -> End | None:
    return engine.core.interference.delay_deliveries(Matching(options.operation, options.component, options.topic), options.by_s)
