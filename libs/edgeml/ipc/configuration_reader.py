"""A component's configuration read in one piece, or by key path where it is too large for one answer.

Nucleus Lite answers with at most 255 names and values, and 10,000 bytes; what does not fit is a `ServiceError` without a text, like that of
a store that is away. A small question tells these apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from awsiot.greengrasscoreipc.model import ResourceNotFoundError, ServiceError

from edgeml.errors import ConfigurationTooLarge

Known = Mapping[str, Any]
"""The keys of a map, each with those below it; empty: nobody knows what is below, or it is a single value."""
Get = Callable[[list[str]], Any]
"""GetConfiguration: a key path -> the answer's value; raises what the SDK raises."""
Path = tuple[str, ...]
NOWHERE = "edgeml.nowhere"

_ABSENT = object()


class ConfigurationReader:
    """Remembers what was too large, so that nothing is asked for in vain again and again: a nucleus logs each such answer.

    Attributes:
        last: what was read last.
        seen: there was a configuration once.
    """

    def __init__(self) -> None:
        self._split: set[Path] = set()
        self.last: dict[str, Any] | None = None
        self.seen = False

    def read(self, get: Get, known: Known) -> dict[str, Any]:
        """The configuration; where it was read by key, without keys that are not `known`.

        Raises:
            ConfigurationTooLarge: a value does not fit into an answer.
            Exception: what `get` raises.
        """
        try:
            value = self._at((), get, known)
        except ConfigurationTooLarge:
            self._split.clear()
            raise
        whole = value if isinstance(value, dict) else {}
        if whole != self.last and self.last is not None:
            self._split.clear()  # it may fit now
        self.last, self.seen = whole, self.seen or bool(whole)
        return whole

    def _at(self, path: Path, get: Get, known: Known) -> Any:
        if path not in self._split:
            try:
                return _unwrapped(path, get(list(path)))
            except ResourceNotFoundError:
                return _ABSENT
            except ServiceError:
                if not _answers(get):
                    raise
                if not known:
                    raise ConfigurationTooLarge(".".join(path)) from None
        values = {key: self._at((*path, key), get, below) for key, below in known.items()}
        self._split.add(path)
        return {key: value for key, value in values.items() if value is not _ABSENT}


def _answers(get: Get) -> bool:
    """Whether the store is there: it is asked for something that nobody has."""
    try:
        get([NOWHERE])
    except ResourceNotFoundError:
        return True
    except ServiceError:
        return False
    return True


def _unwrapped(path: Path, value: Any) -> Any:
    """The nucleus answers with the map itself, but with `{last key: value}` for any other value."""
    if path and isinstance(value, dict) and set(value) == {path[-1]} and not isinstance(value[path[-1]], dict):
        return value[path[-1]]
    return value
