"""Codes of the texts in a block of results."""

from __future__ import annotations

LEARNING = "learning"


class ReasonCodes:
    """Texts and their codes, from 1 on; learning has one text for all rows of a block, with the final progress."""

    _MAX_CODE = 255

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, reason: str) -> int:
        if reason not in self._codes and len(self._codes) >= self._MAX_CODE - 1:
            reason = "sensor"
        return self._codes.setdefault(reason, len(self._codes) + 1)

    def texts(self, progress: str) -> tuple[str, ...]:
        return tuple(progress if text == LEARNING else text for text in self._codes)
