"""Reads a component's configuration in one piece, or by key path if it is too large for one answer.

An answer of Nucleus Lite holds at most 255 names and values, and 10,000 bytes. A larger value yields a `ServiceError` without a text, like
that of a store which is down. Reading a small key distinguishes the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from awsiot.greengrasscoreipc.model import ResourceNotFoundError, ServiceError

from edgeml.errors import ConfigurationTooLarge

KnownKeys = Mapping[str, Any]
"""The keys of a map, each with the keys below it; empty: the keys below are not known, or it is a single value."""
Get = Callable[[list[str]], Any]
"""GetConfiguration: a key path -> the answer's value; raises the faults of the SDK."""
Path = tuple[str, ...]
PROBE_KEY = "edgeml.nowhere"
"""A key that no component has."""

_ABSENT = object()


class ConfigurationReader:
    """Remembers which values were too large, so that it does not request them again and again: a nucleus logs each such failure.

    Attributes:
        last: the configuration read last.
        seen: a configuration existed at some time.
    """

    def __init__(self) -> None:
        self._split: set[Path] = set()
        self.last: dict[str, Any] | None = None
        self.seen = False

    def read(self, get: Get, known: KnownKeys) -> dict[str, Any]:
        """Read the configuration. If it is read by key, keys that are not `known` are missing.

        Raises:
            ConfigurationTooLarge: a value does not fit into an answer.
            Exception: raised by `get`.
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

    def _at(self, path: Path, get: Get, known: KnownKeys) -> Any:
        if path not in self._split:
            try:
                return _unwrapped(path, get(list(path)))
            except ResourceNotFoundError:
                return _ABSENT
            except ServiceError:
                if not _store_answers(get):
                    raise
                if not known:
                    raise ConfigurationTooLarge(".".join(path)) from None
        values = {key: self._at((*path, key), get, below) for key, below in known.items()}
        self._split.add(path)
        return {key: value for key, value in values.items() if value is not _ABSENT}


def _store_answers(get: Get) -> bool:
    """Whether the configuration store is up, found by reading a key that no component has."""
    try:
        get([PROBE_KEY])
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
