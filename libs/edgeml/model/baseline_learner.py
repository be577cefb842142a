"""Collects the rows of an asset from which its baseline is fitted."""

from __future__ import annotations

from collections import deque

import numpy as np

from edgeml.model.baseline import Baseline
from edgeml.model.manifest import Manifest


class BaselineLearner:
    """Rows of a running machine, until there are enough.

    Attributes:
        recent: the latest rows with their times and faults, for the windows.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._rows: list[np.ndarray] = []
        self._segments: list[int] = []
        self._segment = 0
        self.recent: deque[tuple[int, np.ndarray, np.ndarray | None]] = deque(maxlen=max(v.rows for v in manifest.views))

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def done(self) -> bool:
        return len(self._rows) >= self._manifest.scaling.rows

    def interrupt(self) -> None:
        """Mark a gap before the next row."""
        self._segment += 1
        self.recent.clear()

    def add(self, at: int, row: np.ndarray, faults: np.ndarray | None) -> None:
        self.recent.append((at, np.array(row), faults))
        if faults is not None:
            self._segment += 1
            return
        self._rows.append(np.array(row))
        self._segments.append(self._segment)

    def fit(self) -> Baseline:
        return Baseline.fit(self._manifest, np.stack(self._rows), np.array(self._segments))
