"""Sentences about a source's bad input: each kind is named, none floods the log."""

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
        source: the name of the source for people.

    Attributes:
        sentences: for `Source.faults`.
        count: of all sentences so far, by kind.
        quiet: log nothing.
    """

    def __init__(self, source: str, monotonic: Callable[[], float]) -> None:
        self.sentences: list[str] = []
        self.count: Counter[str] = Counter()
        self.quiet = False
        self._source, self._monotonic = source, monotonic
        self._logged: dict[str, float] = {}
        self._cut_off = False

    def add(self, kind: str, sentence: str) -> None:
        """Add a fault; `kind` is one of few."""
        self.count[kind] += 1
        now = self._monotonic()
        if len(self.sentences) < MAX_FAULTS or self.count[kind] == 1:
            self._logged[kind] = now
            self._report(sentence)
            return
        if not self._cut_off:
            self._cut_off = True
            self._report(f"{self._source}: more faults follow; only the first {MAX_FAULTS} are named")
        if now - self._logged[kind] >= REPEAT_S:
            self._logged[kind] = now
            self._log(f"{sentence} ({self.count[kind]} times so far)")

    def _report(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self._log(sentence)

    def _log(self, sentence: str) -> None:
        if not self.quiet:
            log.warning("%s", sentence)
