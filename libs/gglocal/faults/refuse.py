"""Calls are refused for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gglocal.errors import NucleusError
from gglocal.faults.base import End, Lasting
from gglocal.interference import Matching

if TYPE_CHECKING:
    from gglocal.engine import Engine

ERRORS = ("ServiceError", "UnauthorizedError")


@dataclass(frozen=True, kw_only=True)
class Options(Lasting):
    """
    Attributes:
        error: what they are answered with.
        operation, component, topic: which calls; see `gglocal.interference.Matching`.
    """

    error: str = "ServiceError"
    operation: str = ""
    component: str = ""
    topic: str = ""


async def begin(engine: Engine, options: Options) -> End | None:
    if options.error not in ERRORS:
        raise NucleusError(f"error of the fault refuse is {options.error!r}; choose one of {', '.join(ERRORS)}")
    return engine.core.interference.refuse(Matching(options.operation, options.component, options.topic), options.error)
