"""Evaluation: rows through the scorer that runs on a device, and metrics of numbers and classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.messages import GOOD, MISSING
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import Engine, open_engine
from edgeml.model.scorer import AssetScorer
from model_training.tables.table import Table


class Predictions(NamedTuple):
    """Results for each of the n rows of a table.

    Attributes:
        score, confidence: (n,) float32, NaN without a decision.
        answers: (n, k) output of the model, NaN without a decision.
    """

    score: np.ndarray
    confidence: np.ndarray
    answers: np.ndarray

    @property
    def decided(self) -> np.ndarray:
        return np.isfinite(self.score)


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


def answers(bundle: Bundle, x: np.ndarray) -> np.ndarray:
    """Output (n, k) of a bundle's model for inputs x (n, steps, features)."""
    engine = open_engine(bundle)
    return np.array([engine.answer(each) for each in x], np.float64).reshape(len(x), -1)


def predict(bundle: Bundle, table: Table) -> Predictions:
    """Score the rows of each unit with a separate scorer; independent rows with one scorer."""
    engine, n = open_engine(bundle), len(table)
    score, confidence = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    outputs = np.full((n, bundle.manifest.output_shape[0]), np.nan, np.float32)
    interval = round(bundle.manifest.interval_s * 1e9)
    quality = np.where(np.isfinite(table.values), GOOD, MISSING).astype(np.uint8)
    for unit in np.unique(table.unit) if table.ordered else [None]:
        at = np.arange(n) if unit is None else np.flatnonzero(table.unit == unit)
        recorder = _RecordingEngine(engine)
        results, _ = AssetScorer(bundle, recorder).feed(np.arange(1, len(at) + 1, dtype=np.int64) * interval, table.values[at], quality[at])
        score[at], confidence[at] = results.score, results.confidence
        outputs[at[np.isfinite(results.score)]] = np.array(recorder.answers).reshape(-1, outputs.shape[1])
    return Predictions(score, confidence, outputs)


def number_metrics(estimate: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Root mean square and mean absolute error, and the share of the variance that is explained."""
    errors = estimate - target
    spread = float(np.mean(np.square(target - target.mean())))
    return {
        "rmse": rms(errors),
        "mae": float(np.abs(errors).mean()),
        "r2": 1 - float(np.mean(np.square(errors))) / spread if spread else 0.0,
    }


def rms(errors: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))


def predicted_class(confidence: np.ndarray, probabilities: np.ndarray, level: float) -> np.ndarray:
    """Predicted class (n,): 0 below the level, else the most probable other class."""
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


def best_level(confidence: np.ndarray, true: np.ndarray) -> float:
    """The level, in steps of 0.05, with the highest F1; the one nearest to 0.5 of equal ones."""
    levels = np.round(np.arange(0.05, 1.0, 0.05), 2).tolist()
    return float(max(levels, key=lambda level: (round(rates(confidence >= level, true).f1, 4), -abs(level - 0.5))))
