"""Evaluation: rows through the scorer that runs on a device, and classification metrics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.messages import GOOD
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import Engine, open_engine
from edgeml.model.scorer import AssetScorer


class Rates(NamedTuple):
    """Metrics of one class; an undefined share is 0. `support` is the number of true rows."""

    f1: float
    precision: float
    recall: float
    support: int


class _RecordingEngine:
    """An engine that records the model's outputs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.answers: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.answers.append(self._engine.answer(features))
        return self._engine.score(self.answers[-1])


def predict(bundle: Bundle, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feed rows (n, c) in the manifest's channels to a scorer.

    Returns:
        score (n,), confidence (n,), and each class's probability (n, classes), float32.
    """
    engine = _RecordingEngine(open_engine(bundle))
    times = np.arange(1, len(rows) + 1, dtype=np.int64) * round(bundle.manifest.interval_s * 1e9)
    results, _ = AssetScorer(bundle, engine).feed(times, rows.astype(np.float32), np.full(rows.shape, GOOD, np.uint8))
    return results.score, results.confidence, np.array(engine.answers)


def predicted_class(confidence: np.ndarray, probabilities: np.ndarray, level: float) -> np.ndarray:
    """Predicted class of each row, (n,): 0 below the verdict level, else the most probable failure."""
    return np.where(confidence >= level, probabilities[:, 1:].argmax(1) + 1, 0)


def rates(predicted: np.ndarray, true: np.ndarray) -> Rates:
    """Metrics of predicted and true (n,) bool."""
    both, positives, support = int((predicted & true).sum()), int(predicted.sum()), int(true.sum())
    return Rates(
        2 * both / (positives + support) if positives + support else 0.0,
        both / positives if positives else 0.0,
        both / support if support else 0.0,
        support,
    )


def rates_by_class(predicted: np.ndarray, true: np.ndarray, names: tuple[str, ...]) -> dict[str, Rates]:
    """Metrics of each class except the first, for predicted and true classes (n,)."""
    return {name: rates(predicted == at, true == at) for at, name in enumerate(names) if at}


def macro_f1(each: dict[str, Rates]) -> float:
    """Mean F1 of the classes that occur."""
    return float(np.mean([rate.f1 for rate in each.values() if rate.support]))
