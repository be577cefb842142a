"""The record of a fault, and its options."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, NamedTuple

from gglocal.deployment.engine import Engine
from gglocal.errors import NucleusError
from gglocal.ipc.server import IpcServer

End = Callable[[], None]


class Target(NamedTuple):
    """The parts of a nucleus on which faults act."""

    engine: Engine
    ipc: IpcServer


@dataclass(frozen=True, kw_only=True)
class TimedOptions:
    """Options of a fault with a duration.

    Attributes:
        for_s: seconds until it ends; 0: until it is ended explicitly.
    """

    for_s: float = 0.0


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        options: a dataclass.
        effect: a sentence for people.
        begin: starts the fault on the nucleus's event loop, and returns a function that ends it; None: it is over at once.
    """

    options: type[Any]
    effect: str
    begin: Callable[[Target, Any], Awaitable[End | None]]


def read_options(name: str, kind: type[Any], arguments: dict[str, Any]) -> Any:
    """Parse the options of a fault; numbers may be text.

    Raises:
        NucleusError: an option is unknown, missing, or has the wrong type.
    """
    known = {each.name: each for each in fields(kind)}
    for key in arguments:
        if key not in known:
            raise NucleusError(f"fault {name} has no option {key!r}; its options: {', '.join(known) or 'none'}")
    missing = [key for key, each in known.items() if key not in arguments and each.default is MISSING]
    if missing:
        raise NucleusError(f"fault {name} requires {', '.join(missing)}; write {missing[0]}=…")
    return kind(**{key: _value(name, known[key], value) for key, value in arguments.items()})


def _value(name: str, option: Field[Any], value: Any) -> Any:
    # Annotations are text in this module's importers.
    if option.type == "str":
        return str(value)
    try:
        number = int(value) if option.type == "int" else float(value)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    expected = "a whole number" if option.type == "int" else "a number"
    raise NucleusError(f"option {option.name} of fault {name} is {str(value)[:40]!r}; write {expected}")


def usage(kind: type[Any]) -> str:
    """The options with their defaults, for people; … is required."""

    def default(each: Field[Any]) -> str:
        if each.default is MISSING:
            return "…"
        return f"{each.default:g}" if isinstance(each.default, float) else str(each.default)

    return " ".join(f"{each.name}={default(each)}" for each in fields(kind)) or "none"
