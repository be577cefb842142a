"""Judging: rows through the scorer that runs on a device, and what the answers are worth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.messages import GOOD
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import Engine, open_engine
from edgeml.model.scorer import AssetScorer


class Rates(NamedTuple):
    """How well one thing is found: shares of what was said, and of what was there. 0 where there is none."""

    f1: float
    precision: float
    recall: float
    there: int


class _Kept:
    """An engine that keeps what the model answered beside its score."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.answers: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.answers.append(self._engine.answer(features))
        return self._engine.score(self.answers[-1])


def answer(bundle: Bundle, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feed rows (n, c) in the manifest's channels to a scorer.

    Returns:
        score (n,), confidence (n,), and each class's probability (n, classes), float32.
    """
    kept = _Kept(open_engine(bundle))
    times = np.arange(1, len(rows) + 1, dtype=np.int64) * round(bundle.manifest.interval_s * 1e9)
    results, _ = AssetScorer(bundle, kept).feed(times, rows.astype(np.float32), np.full(rows.shape, GOOD, np.uint8))
    return results.score, results.confidence, np.array(kept.answers)


def named(confidence: np.ndarray, probabilities: np.ndarray, level: float) -> np.ndarray:
    """The class that is said of each row, (n,): 0 below the verdict level, else the most probable failure."""
    return np.where(confidence >= level, probabilities[:, 1:].argmax(1) + 1, 0)


def rates(said: np.ndarray, true: np.ndarray) -> Rates:
    """said, true: (n,) bool."""
    both, says, there = int((said & true).sum()), int(said.sum()), int(true.sum())
    return Rates(2 * both / (says + there) if says + there else 0.0, both / says if says else 0.0, both / there if there else 0.0, there)


def by_class(said: np.ndarray, true: np.ndarray, names: tuple[str, ...]) -> dict[str, Rates]:
    """Rates for each class but the first, for classes (n,) said and true."""
    return {name: rates(said == at, true == at) for at, name in enumerate(names) if at}


def macro(each: dict[str, Rates]) -> float:
    """The mean F1 of the classes that occur."""
    return float(np.mean([rate.f1 for rate in each.values() if rate.there]))
