"""Reads a component's configuration, and saves the last one that worked."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from edgeml.auth.device_key import MessageAuthOptions
from edgeml.config.schema import known, read
from edgeml.errors import OptionsError
from edgeml.storage.regular_files import plain_bytes
from edgeml.storage.retrying_writer import RetryingWriter

log = logging.getLogger("edgeml")

LAST_GOOD = "last-good-configuration.json"
"""File in the work directory: Lite restarts a component at each change of its configuration, so the last good one is saved."""

O = TypeVar("O")  # noqa: E741


def read_all_options(options: type[O], raw: dict[str, Any]) -> tuple[MessageAuthOptions, O]:
    """Read a component's configuration: the options common to all components, and its own.

    Raises:
        OptionsError: with every fault of both.
    """
    common, own, faults = MessageAuthOptions(), None, []
    try:
        common = read(MessageAuthOptions, raw.get("message_auth"), "message_auth")
    except OptionsError as error:
        faults += error.faults
    try:
        own = read(options, {key: value for key, value in raw.items() if key not in ("message_auth", "accessControl")})
    except OptionsError as error:
        faults += error.faults
    if own is None or faults:
        raise OptionsError(faults)
    return common, own


REFUSED = "refused-configuration.json"
"""File in the work directory while the latest configuration is not in effect: the configuration and its faults."""


class LastGoodConfig(Generic[O]):
    """Args:
        options: the class of the service's own options.
        work: the component's work directory.

    Attributes:
        known: the keys that a configuration may have, see `edgeml.ipc.configuration_reader`.
    """

    def __init__(self, options: type[O], work: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._options, self._path, self._refused = options, work / LAST_GOOD, work / REFUSED
        self.known = {"message_auth": known(MessageAuthOptions), **known(options)}
        self._writer = RetryingWriter(monotonic)

    def read(self, raw: dict[str, Any]) -> tuple[MessageAuthOptions, O]:
        """Read the common options and the service's own; raises OptionsError with every fault of both."""
        return read_all_options(self._options, raw)

    def last_good(self) -> dict[str, Any]:
        """The saved configuration; raises FileNotFoundError if there is none, or the faults of reading a damaged file."""
        return dict(json.loads(plain_bytes(self._path)))

    def remember(self, raw: dict[str, Any]) -> None:
        """Save this configuration as the last good one."""
        try:
            text = json.dumps(raw)
        except (TypeError, ValueError) as fault:
            log.warning("%s cannot be written (%s); after a restart there is no last-good configuration to restore", self._path, fault)
            return
        sentence = (
            f"{self._path} cannot be written ({{}}); free some space, or after a restart there is no last-good configuration to restore"
        )
        self._writer.drop("refused")
        self._writer.do("last good", lambda: self._accept(text), sentence)

    def refuse(self, raw: dict[str, Any], faults: tuple[str, ...]) -> None:
        """Save the refused configuration and its faults, for the person who deployed it."""
        try:
            text = json.dumps({"configuration": raw, "faults": faults})
        except (TypeError, ValueError) as fault:
            log.warning("%s cannot be written (%s); the faults are in this log and in the status", self._refused, fault)
            return
        sentence = f"{self._refused} cannot be written ({{}}); free some space, otherwise the faults are only in the log and in the status"
        self._writer.do("refused", lambda: _write(self._refused, text), sentence)

    def tick(self) -> None:
        """Retry failed writes."""
        self._writer.tick()

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences about failed writes."""
        return self._writer.faults

    def _accept(self, text: str) -> None:
        _write(self._path, text)
        self._refused.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
