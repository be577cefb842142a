"""The waiting between tries."""

from __future__ import annotations


class Backoff:
    """Doubles from `first` to `longest` seconds. `tries` counts what was handed out since the last `reset`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self.tries = 0

    def next(self) -> float:
        """Seconds to wait before the next try."""
        wait = min(self._longest, self._first * 2 ** min(self.tries, 30))
        self.tries += 1
        return wait

    def reset(self) -> None:
        self.tries = 0
