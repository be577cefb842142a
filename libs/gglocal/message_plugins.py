"""Plugins for an application's messages, found through the entry point group `gglocal.messages`.

The nucleus treats payloads as bytes. A plugin is a module or an object with the functions of `MessagePlugin`.
"""

from __future__ import annotations

import functools
import logging
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from gglocal.errors import NucleusError

GROUP = "gglocal.messages"
log = logging.getLogger("gglocal")


class MessagePlugin(Protocol):
    """What `gglocal pub` and `gglocal sub` need to know about an application's messages."""

    def body(self, payload: bytes) -> bytes:
        """The message without its signature; a payload that is not signed, unchanged."""

    def value(self, topic: str, payload: bytes) -> Any:
        """The message as JSON data; None: it is not a message of this application."""

    def lines(self, topic: str, payload: bytes) -> list[str] | None:
        """The message as lines of text; None: it is not a message of this application."""

    def rejection(self, topic: str, payload: bytes) -> str:
        """Why the application would reject this message on this topic; empty: it would accept it."""

    def sign(self, topic: str, payload: bytes, key_file: Path | None, work_dirs: Path) -> bytes:
        """The signed message. Without `key_file`, the key is looked up in the components' work directories, all in `work_dirs`.

        Raises:
            ValueError: the key cannot be found or read.
        """


@functools.cache
def plugins() -> tuple[MessagePlugin, ...]:
    """All installed plugins; one that fails to import is logged and skipped."""
    loaded = []
    for point in entry_points(group=GROUP):
        try:
            loaded.append(point.load())
        except Exception as error:
            log.warning("message plugin %s cannot be loaded (%r); its payloads are shown undecoded", point.value, error)
    return tuple(loaded)


def body(payload: bytes) -> bytes:
    """The message without the signature that any plugin recognizes."""
    for plugin in plugins():
        payload = _call(plugin, "body", payload, otherwise=payload)
    return payload


def value(topic: str, payload: bytes) -> Any:
    """JSON data from the first plugin that can decode the message; None: no plugin can."""
    return _first("value", topic, payload)


def lines(topic: str, payload: bytes) -> list[str] | None:
    """Lines of text from the first plugin that can decode the message; None: no plugin can."""
    found: list[str] | None = _first("lines", topic, payload)
    return found


def rejection(topic: str, payload: bytes) -> str:
    """Why every application would reject the message; empty: one accepts it, or no plugin is installed."""
    reasons = [_rejection(plugin, topic, payload) for plugin in plugins()]
    return "; ".join(reasons) if all(reasons) else ""


def sign(topic: str, payload: bytes, *, key_file: Path | None, work_dirs: Path) -> bytes:
    """The message, signed by the first plugin that accepts it, or by the first plugin.

    Raises:
        NucleusError: no plugin is installed, it fails, or the key cannot be found or read.
    """
    if not plugins():
        raise NucleusError(f"no installed package signs messages; install one with an entry point in the group {GROUP}")
    plugin = next((each for each in plugins() if not _rejection(each, topic, payload)), plugins()[0])
    try:
        return plugin.sign(topic, payload, key_file, work_dirs)
    except ValueError as error:
        raise NucleusError(f"{error}; name another file with --key") from None
    except Exception as error:
        raise NucleusError(_failure(plugin, "sign", error)) from None


def _first(function: str, topic: str, payload: bytes) -> Any:
    results = (_call(plugin, function, topic, payload, otherwise=None) for plugin in plugins())
    return next((found for found in results if found is not None), None)


def _call(plugin: MessagePlugin, function: str, *arguments: Any, otherwise: Any) -> Any:
    """The result of a plugin's function; `otherwise`: it failed, which is logged."""
    try:
        return getattr(plugin, function)(*arguments)
    except Exception as error:
        log.warning("%s; the message is shown without it", _failure(plugin, function, error))
        return otherwise


def _rejection(plugin: MessagePlugin, topic: str, payload: bytes) -> str:
    try:
        return plugin.rejection(topic, payload)
    except Exception as error:
        return _failure(plugin, "rejection", error)


def _failure(plugin: MessagePlugin, function: str, error: Exception) -> str:
    return f"message plugin {getattr(plugin, '__name__', type(plugin).__name__)} failed in {function} ({error!r})"
