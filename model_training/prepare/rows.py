"""What passes through the preparation."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from model_training.training_request import TrainingError


class PrepareError(TrainingError):
    """The preparation cannot go on; its text is one sentence: what, where, the remedy."""


class Rows(NamedTuple):
    """Rows of one asset, as a source has them: n rows of c channels.

    Attributes:
        times: (n,) int64, event time, ns since the epoch, UTC.
        values: (n, c) float32; missing is NaN.
        quality: (n, c) uint8, codes of `edgeml.messages`.
        units: by channel, where the source says them.
    """

    asset: str
    channels: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    quality: np.ndarray
    units: dict[str, str]


class Statistics:
    """Counts of what was found, with an example of each reason. `seen` = rows that are used + `rows`.

    Attributes:
        seen: rows in all files, those that cannot be read included.
        lost: rows that the capture says it could not write.
        rows: rows that were left out, by reason.
        values: values that were taken out of rows that stay, by reason.
        examples: by reason, where the first of them is.
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
