"""A component's configuration as its own: read, and remembered when it has worked."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from edgeml.errors import OptionsError
from edgeml.lasting import Lasting
from edgeml.messagekey import MessageOptions
from edgeml.options import read

log = logging.getLogger("edgeml")

LAST_GOOD = "last-good-configuration.json"
"""In the work directory: Lite restarts a component at each change of its configuration, so the one that worked outlives the process."""

O = TypeVar("O")  # noqa: E741


class Settings(Generic[O]):
    """Args:
        options: the class of the service's own options.
        work: the component's work directory.
    """

    def __init__(self, options: type[O], work: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._options, self._path = options, work / LAST_GOOD
        self._lasting = Lasting(monotonic)

    def read(self, raw: dict[str, Any]) -> tuple[MessageOptions, O]:
        """The options that every component has, and the service's own; raises OptionsError with every fault of both."""
        common, own, faults = MessageOptions(), None, []
        try:
            common = read(MessageOptions, raw.get("messages"), "messages")
        except OptionsError as wrong:
            faults += wrong.faults
        try:
            own = read(self._options, {key: value for key, value in raw.items() if key != "messages"})
        except OptionsError as wrong:
            faults += wrong.faults
        if own is None or faults:
            raise OptionsError(faults)
        return common, own

    def last_good(self) -> dict[str, Any]:
        """What was remembered; raises FileNotFoundError when nothing is, and what else reading a damaged file raises."""
        return dict(json.loads(self._path.read_text()))

    def remember(self, raw: dict[str, Any]) -> None:
        """This configuration works."""
        try:
            text = json.dumps(raw)
        except (TypeError, ValueError) as fault:
            log.warning("%s cannot be written (%s); after a restart a wrong configuration finds nothing to go back to", self._path, fault)
            return
        sentence = f"{self._path} cannot be written ({{}}); make room, or after a restart a wrong configuration finds nothing to go back to"
        self._lasting.do("last good", lambda: self._write(text), sentence)

    def tick(self) -> None:
        """Write what could not be written before."""
        self._lasting.tick()

    @property
    def faults(self) -> tuple[str, ...]:
        """What could not be written yet."""
        return self._lasting.faults

    def _write(self, text: str) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._path)
