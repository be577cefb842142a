"""Faults that are told, but not too often."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

log = logging.getLogger("edgeml")

REPEAT_S = 60.0
"""A fault of the same kind on the same topic is logged again after this long, and stands in the status for as long after the last time."""


class LogThrottle:
    """Logs a fault of one kind once, then at most once in `REPEAT_S`, with the number of repeats in between."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged: dict[str, float] = {}
        self._count: Counter[str] = Counter()
        self._lasting: dict[str, tuple[float, str]] = {}

    def warn(self, text: str, kind: str, trace: bool = False, lasting: str = "") -> None:
        """`lasting`: a sentence for the component's status."""
        self._count[kind] += 1
        now = self._monotonic()
        if lasting:
            self._lasting[kind] = now, lasting
        if now - self._logged.get(kind, -REPEAT_S) < REPEAT_S:
            return
        self._logged[kind] = now
        repeats = f" ({self._count[kind]} times so far)" if self._count[kind] > 1 else ""
        log.warning("%s%s", text, repeats, exc_info=trace)

    def faults(self) -> tuple[str, ...]:
        """The sentences of what has gone wrong lately."""
        now = self._monotonic()
        self._lasting = {kind: (at, text) for kind, (at, text) in self._lasting.items() if now - at < REPEAT_S}
        return tuple(text for _, text in self._lasting.values())


class RateLimitedLog:
    """A logger for lines about single messages: of each kind, `burst` lines in `REPEAT_S`; the next one has the number left out.

    A kind is the format string: what a sender can choose stands in the arguments, so it cannot make new kinds.
    """

    def __init__(self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic, burst: int = 5) -> None:
        self._logger, self._monotonic, self._burst = logger, monotonic, burst
        self._begun: dict[str, float] = {}
        self._count: Counter[str] = Counter()

    def info(self, text: str, *values: object) -> None:
        self.log(logging.INFO, text, *values)

    def warning(self, text: str, *values: object) -> None:
        self.log(logging.WARNING, text, *values)

    def error(self, text: str, *values: object) -> None:
        self.log(logging.ERROR, text, *values)

    def log(self, level: int, text: str, *values: object) -> None:
        now = self._monotonic()
        left_out = 0
        if now - self._begun.get(text, -REPEAT_S) >= REPEAT_S:
            left_out = max(0, self._count.pop(text, 0) - self._burst)
            self._begun[text] = now
        self._count[text] += 1
        if self._count[text] > self._burst:
            return
        more = " (%d more of this kind were not logged)" if left_out else ""
        self._logger.log(level, text + more, *values, *((left_out,) if left_out else ()))
