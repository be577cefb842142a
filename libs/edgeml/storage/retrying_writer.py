"""Writes that are retried until they succeed, and reported while they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

RETRY_S = 5.0


class RetryingWriter:
    """Pending writes, the latest one of each key.

    Args:
        monotonic: the clock.
        retry_s: seconds between two attempts.
    """

    def __init__(self, monotonic: Callable[[], float], retry_s: float = RETRY_S) -> None:
        self._monotonic, self._retry_s, self._retry_at = monotonic, retry_s, 0.0
        self._pending: dict[str, tuple[Callable[[], object], str, str]] = {}  # key -> the write, its sentence, the reason of the failure

    def do(self, key: str, write: Callable[[], object], sentence: str) -> bool:
        """Write now, and retry later if that fails; returns whether it succeeded.

        Args:
            sentence: describes the failure and its consequence, with `{}` in place of the reason.
        """
        self._pending[key] = write, sentence, ""
        return self._try(key)

    def drop(self, key: str) -> None:
        """Cancel the pending write of `key`, or all if it is empty."""
        if key:
            self._pending.pop(key, None)
        else:
            self._pending.clear()

    def tick(self) -> None:
        """Retry the pending writes if that is due; a failure ends the round, because the others would probably fail too."""
        now = self._monotonic()
        if not self._pending or now < self._retry_at:
            return
        self._retry_at = now + self._retry_s
        for key in list(self._pending):
            if not self._try(key):
                # The next round starts with another one.
                self._pending[key] = self._pending.pop(key)
                break

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence about the first pending write, with the number of the others."""
        if not self._pending:
            return ()
        _, sentence, reason = next(iter(self._pending.values()))
        more = f" (and {len(self._pending) - 1} more like this)" if len(self._pending) > 1 else ""
        return (sentence.replace("{}", reason) + more,)

    def _try(self, key: str) -> bool:
        write, sentence, previous = self._pending[key]
        try:
            write()
        except OSError as fault:
            reason = fault.strerror or type(fault).__name__
            if reason != previous:
                log.warning("%s; retrying every %g s", sentence.replace("{}", reason), self._retry_s)
            self._pending[key] = write, sentence, reason
            return False
        if previous:
            log.info("written after retries: %s", sentence.split(" cannot ")[0])
        del self._pending[key]
        return True
