"""What must be written and may fail: it is tried again until it stands, and reported while it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

AGAIN_S = 5.0


class RetryingWriter:
    """Writes that wait for a disk that takes them; of each key the latest alone.

    Args:
        monotonic: the clock.
        again_s: seconds between two tries.
    """

    def __init__(self, monotonic: Callable[[], float], again_s: float = AGAIN_S) -> None:
        self._monotonic, self._again_s, self._again_at = monotonic, again_s, 0.0
        self._waiting: dict[str, tuple[Callable[[], object], str, str]] = {}  # key -> the write, its sentence, why it failed

    def do(self, key: str, write: Callable[[], object], sentence: str) -> bool:
        """Write now, and again later if it fails; whether it was written.

        Args:
            sentence: what cannot be done, and what follows from it, with `{}` where the reason belongs.
        """
        self._waiting[key] = write, sentence, ""
        return self._try(key)

    def drop(self, key: str) -> None:
        """What waits under `key`, or under any key when it is empty, is not wanted any more."""
        if key:
            self._waiting.pop(key, None)
        else:
            self._waiting.clear()

    def tick(self) -> None:
        """Try again what is due; a failure ends the round, as the others would mostly find the same."""
        now = self._monotonic()
        if not self._waiting or now < self._again_at:
            return
        self._again_at = now + self._again_s
        for key in list(self._waiting):
            if not self._try(key):
                # The next round begins with another one.
                self._waiting[key] = self._waiting.pop(key)
                break

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence about the first that does not stand, and how many more there are."""
        if not self._waiting:
            return ()
        _, sentence, reason = next(iter(self._waiting.values()))
        more = f" (and {len(self._waiting) - 1} more of the kind)" if len(self._waiting) > 1 else ""
        return (sentence.replace("{}", reason) + more,)

    def _try(self, key: str) -> bool:
        write, sentence, before = self._waiting[key]
        try:
            write()
        except OSError as fault:
            reason = fault.strerror or type(fault).__name__
            if reason != before:
                log.warning("%s; it is tried again every %g s", sentence.replace("{}", reason), self._again_s)
            self._waiting[key] = write, sentence, reason
            return False
        if before:
            log.info("written after all: %s", sentence.split(" cannot ")[0])
        del self._waiting[key]
        return True
