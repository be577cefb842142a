"""Counts how many of an asset's latest rows are scored, and why the others are not. Pure: the caller brings the time."""

from __future__ import annotations

from collections import Counter

import numpy as np

from edgeml.model.reason_codes import LEARNING
from edgeml.model.scorer import FILLING, SETTLING, STOPPED
from edgeml.runtime.service import UnscoredRows

EXPECTED = (STOPPED, SETTLING, FILLING)
"""Reasons that are no fault of sensing; those that begin with `LEARNING` are none either."""
SPAN_S, SPAN_ROWS = 10.0, 10
"""Least duration and rows of a span; the latest rows are those of the current and the previous span."""
MAX_UNSCORED_SHARE = 0.5


class ScoringCoverage:
    """Counts the rows of one asset."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, Counter[str]]] = [(0, Counter()), (0, Counter())]  # decided, reasons; the current one last
        self._begun, self._length = 0.0, 0  # of the current span: when it began, and its rows of every kind
        self._since: float | None = None
        self._rows = 0

    def take(self, reason: np.ndarray, reasons: tuple[str, ...], now: float) -> None:
        """Count a block: (n,) reason codes, 0 for a decision, and their texts, at the monotonic time `now`."""
        counts = np.bincount(reason, minlength=1).tolist()
        decided, undecided = self._spans[-1]
        if self._length >= SPAN_ROWS and now - self._begun >= SPAN_S:
            self._spans = [self._spans[-1], (0, Counter())]
            self._begun, self._length, (decided, undecided) = now, 0, self._spans[-1]
        self._length += len(reason)
        found = {
            text: count
            for text, count in zip(reasons, counts[1:], strict=False)
            if count and text not in EXPECTED and not text.startswith(LEARNING)
        }
        undecided.update(found)
        self._spans[-1] = decided + counts[0], undecided
        if found and self._since is None:
            self._since, self._rows = now, 0
        self._rows += sum(found.values())
        if self._since is not None and self._share() < MAX_UNSCORED_SHARE:
            self._since = None

    def unscored(self) -> UnscoredRows | None:
        """The most frequent reason and its figures, or None while most rows are scored."""
        if self._since is None:
            return None
        reasons = self._spans[0][1] + self._spans[1][1]
        return UnscoredRows(reasons.most_common(1)[0][0], self._since, self._rows, self._share())

    def _share(self) -> float:
        wrong = sum(reasons.total() for _, reasons in self._spans)
        known = wrong + sum(decided for decided, _ in self._spans)
        return wrong / known if known else 0.0
