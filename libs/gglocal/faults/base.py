"""What a fault is: a name, options, an effect, and how it begins and ends."""

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
    """What faults act on."""

    engine: Engine
    ipc: IpcServer


@dataclass(frozen=True, kw_only=True)
class Lasting:
    """Options of a fault that lasts.

    Attributes:
        for_s: seconds until it ends by itself; 0: until it is ended.
    """

    for_s: float = 0.0


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        options: a dataclass; one with `for_s` ends by itself.
        effect: a sentence for people.
        begin: brings it about on the nucleus's loop, and returns what ends it; None: it is over at once.
    """

    options: type[Any]
    effect: str
    begin: Callable[[Target, Any], Awaitable[End | None]]


def read_options(name: str, kind: type[Any], given: dict[str, Any]) -> Any:
    """The options of the fault `name`; numbers may be given as text.

    Raises:
        NucleusError: one is unknown, missing, or of the wrong type.
    """
    known = {each.name: each for each in fields(kind)}
    for key in given:
        if key not in known:
            raise NucleusError(f"the fault {name} has no option {key!r}; it has {', '.join(known) or 'none'}")
    missing = [key for key, each in known.items() if key not in given and each.default is MISSING]
    if missing:
        raise NucleusError(f"the fault {name} needs {', '.join(missing)}; write {missing[0]}=…")
    return kind(**{key: _value(name, known[key], value) for key, value in given.items()})


def _value(name: str, option: Field[Any], value: Any) -> Any:
    # Annotations are text here, and there are two kinds.
    if option.type == "str":
        return str(value)
    try:
        number = int(value) if option.type == "int" else float(value)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    wanted = "a whole number" if option.type == "int" else "a number"
    raise NucleusError(f"{option.name} of the fault {name} is {str(value)[:40]!r}; write {wanted}")


def usage(kind: type[Any]) -> str:
    """The options with their defaults, for people; … must be given."""

    def default(each: Field[Any]) -> str:
        if each.default is MISSING:
            return "…"
        return f"{each.default:g}" if isinstance(each.default, float) else str(each.default)

    return " ".join(f"{each.name}={default(each)}" for each in fields(kind)) or "none"
