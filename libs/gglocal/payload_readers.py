"""Who can read the payloads of an application: modules that its installed packages name in the entry point group `gglocal.messages`.

The nucleus itself knows payloads as bytes alone. A reader is a module or object with three functions:

    value(topic, payload) -> plain data for JSON, or None if it is not of this application
    lines(topic, payload) -> lines for people, or None
    fault(topic, payload) -> why the application would not act upon this message on this topic; empty if it would
"""

from __future__ import annotations

import functools
import logging
from importlib.metadata import entry_points
from typing import Any, Protocol

GROUP = "gglocal.messages"
log = logging.getLogger("gglocal")


class Reader(Protocol):
    """See the module."""

    def value(self, topic: str, payload: bytes) -> Any: ...

    def lines(self, topic: str, payload: bytes) -> list[str] | None: ...

    def fault(self, topic: str, payload: bytes) -> str: ...


@functools.cache
def readers() -> tuple[Reader, ...]:
    """All that are installed; one that cannot be imported is logged and left out."""
    found = []
    for point in entry_points(group=GROUP):
        try:
            found.append(point.load())
        except Exception as fault:
            log.warning("the reader of messages %s cannot be used (%r); payloads are shown as they are", point.value, fault)
    return tuple(found)


def value(topic: str, payload: bytes) -> Any:
    """Plain data of the first reader that knows the payload; None: nobody does."""
    return next((found for reader in readers() if (found := reader.value(topic, payload)) is not None), None)


def lines(topic: str, payload: bytes) -> list[str] | None:
    """Lines for people of the first reader that knows the payload; None: nobody does."""
    return next((found for reader in readers() if (found := reader.lines(topic, payload)) is not None), None)


def fault(topic: str, payload: bytes) -> str:
    """Why no application here would act upon the message; empty: one would, or there is no reader to ask."""
    faults = [reader.fault(topic, payload) for reader in readers()]
    return "" if not all(faults) else "; ".join(faults)
