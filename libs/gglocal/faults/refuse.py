"""Returns errors from calls."""

from __future__ import annotations

from dataclasses import dataclass

from gglocal.core.fault_injection import CallFilter
from gglocal.errors import NucleusError
from gglocal.faults.base import End, Target, TimedOptions

ERRORS = ("ServiceError", "UnauthorizedError")


@dataclass(frozen=True, kw_only=True)
class Options(TimedOptions):
    """
    Attributes:
        error: the error that calls return.
        operation, component, topic: which calls; see `gglocal.core.fault_injection.CallFilter`.
    """

    error: str = "ServiceError"
    operation: str = ""
    component: str = ""
    topic: str = ""


async def begin(target: Target, options: Options) -> End | None:
    if options.error not in ERRORS:
        raise NucleusError(f"option error of fault refuse is {options.error!r}; choose one of {', '.join(ERRORS)}")
    return target.engine.core.fault_injector.refuse(CallFilter(options.operation, options.component, options.topic), options.error)
