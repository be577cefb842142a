"""Records of the preparation."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from model_training.training_request import TrainingError


class PrepareError(TrainingError):
    """The preparation cannot continue. The text is one sentence: the problem, its place, the remedy."""


class Rows(NamedTuple):
    """Rows of one asset from a source: n rows of c channels.

    Attributes:
        times: (n,) int64, event time, ns since the epoch, UTC.
        values: (n, c) float32; missing is NaN.
        quality: (n, c) uint8, codes of `edgeml.messages`.
        units: units by channel, if the source states them.
    """

    asset: str
    channels: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    quality: np.ndarray
    units: dict[str, str]


class Statistics:
    """Counts of dropped rows and removed values by reason. `seen` is the number of used rows plus all of `rows`.

    Attributes:
        seen: rows in all files, including unreadable ones.
        lost: rows that the capture could not write.
        rows: dropped rows by reason.
        values: values removed from used rows, by reason.
        examples: place of the first occurrence by reason.
    """

    def __init__(self) -> None:
        self.seen = self.lost = 0
        self.rows: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def row(self, reason: str, where: str = "", count: int = 1) -> None:
        self._count(self.rows, reason, where, count)

    def value(self, reason: str, where: str = "", count: int = 1) -> None:
        self._count(self.values, reason, where, count)

    def _count(self, counter: Counter[str], reason: str, where: str, count: int) -> None:
        if count:
            counter[reason] += count
            if where:
                self.examples.setdefault(reason, where)
