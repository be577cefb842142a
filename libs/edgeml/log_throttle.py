"""Log lines about repeated faults, limited in rate."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

log = logging.getLogger("edgeml")

REPEAT_S = 60.0
"""A fault of the same kind is logged again after this long, and stays in the status for as long after its last occurrence."""


class LogThrottle:
    """Logs a fault of one kind once, then at most once in `REPEAT_S`, with the number of occurrences."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logged: dict[str, float] = {}
        self._count: Counter[str] = Counter()
        self._status: dict[str, tuple[float, str]] = {}

    def warn(self, text: str, kind: str, traceback: bool = False, status: str = "") -> None:
        """Log a warning.

        Args:
            traceback: log the traceback of the current exception.
            status: a sentence for the component's status.
        """
        self._count[kind] += 1
        now = self._monotonic()
        if status:
            self._status[kind] = now, status
        if now - self._logged.get(kind, -REPEAT_S) < REPEAT_S:
            return
        self._logged[kind] = now
        repeats = f" ({self._count[kind]} times so far)" if self._count[kind] > 1 else ""
        log.warning("%s%s", text, repeats, exc_info=traceback)

    def faults(self) -> tuple[str, ...]:
        """Sentences about the recent faults."""
        now = self._monotonic()
        self._status = {kind: (at, text) for kind, (at, text) in self._status.items() if now - at < REPEAT_S}
        return tuple(text for _, text in self._status.values())


class RateLimitedLog:
    """A logger for lines about single messages: `burst` lines of each kind in `REPEAT_S`; the next line names the number left out.

    A kind is the format string. Text chosen by a sender is in the arguments, so a sender cannot create new kinds.
    """

    def __init__(self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic, burst: int = 5) -> None:
        self._logger, self._monotonic, self._burst = logger, monotonic, burst
        self._burst_began: dict[str, float] = {}
        self._count: Counter[str] = Counter()

    def info(self, text: str, *values: object) -> None:
        self.log(logging.INFO, text, *values)

    def warning(self, text: str, *values: object) -> None:
        self.log(logging.WARNING, text, *values)

    def error(self, text: str, *values: object) -> None:
        self.log(logging.ERROR, text, *values)

    def log(self, level: int, text: str, *values: object) -> None:
        now = self._monotonic()
        suppressed = 0
        if now - self._burst_began.get(text, -REPEAT_S) >= REPEAT_S:
            suppressed = max(0, self._count.pop(text, 0) - self._burst)
            self._burst_began[text] = now
        self._count[text] += 1
        if self._count[text] > self._burst:
            return
        more = " (%d more lines of this kind were suppressed)" if suppressed else ""
        self._logger.log(level, text + more, *values, *((suppressed,) if suppressed else ()))
