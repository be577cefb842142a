"""What is wrong with a source's input, for people: each kind is named, none floods the log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from edgeml.log_throttle import REPEAT_S
from sensor_ingestion.sources.base import MAX_FAULTS

log = logging.getLogger(__name__)


class InputFaults:
    """The first `MAX_FAULTS` sentences, and the first of each further kind; later ones are logged once a minute and kind, with their count.

    Args:
        where: the source, as people know it.

    Attributes:
        sentences: for `Source.faults`.
        count: of all sentences so far, by kind.
        quiet: nothing is logged.
    """

    def __init__(self, where: str, monotonic: Callable[[], float]) -> None:
        self.sentences: list[str] = []
        self.count: Counter[str] = Counter()
        self.quiet = False
        self._where, self._monotonic = where, monotonic
        self._logged: dict[str, float] = {}
        self._more = False

    def add(self, kind: str, sentence: str) -> None:
        """Something is wrong; `kind` is one of few."""
        self.count[kind] += 1
        now = self._monotonic()
        if len(self.sentences) < MAX_FAULTS or self.count[kind] == 1:
            self._logged[kind] = now
            self._tell(sentence)
            return
        if not self._more:
            self._more = True
            self._tell(f"{self._where}: more of the kind; only the first {MAX_FAULTS} are named")
        if now - self._logged[kind] >= REPEAT_S:
            self._logged[kind] = now
            self._log(f"{sentence} ({self.count[kind]} times so far)")

    def _tell(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self._log(sentence)

    def _log(self, sentence: str) -> None:
        if not self.quiet:
            log.warning("%s", sentence)
