"""Evaluation: every row of an engine through the scorer that runs on a device, and regression metrics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.messages import GOOD
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer
from model_training import calibration
from model_training.datasets import Engines
from model_training.regression.examples import channels
from model_training.regression.manifest_template import CAP


class LifePredictions(NamedTuple):
    """Predictions for each row of the engines.

    Attributes:
        score, confidence: (n,) float32, NaN without a decision.
        life: (n,) float32, true remaining cycles, not capped.
        last: (n,) bool, True for the last row of an engine.
    """

    engine: np.ndarray
    cycle: np.ndarray
    score: np.ndarray
    confidence: np.ndarray
    life: np.ndarray
    last: np.ndarray


class LifeMetrics(NamedTuple):
    """Metrics of predicted lives.

    Attributes:
        engines, undecided: evaluated engines, and those without a decision at their last row. The latter count as predicted at the cap.
        rmse: root mean square error in capped cycles over the engines' last rows.
        rmse_rows: the same over all rows with a decision.
        nasa: score of the PHM 2008 challenge over the last rows, capped: the sum of exp(d/10) - 1 for predictions d cycles too high,
            and of exp(d/13) - 1 for predictions d cycles too low.
        calibration_error: expected error of the confidence over all rows with a decision, at the manifest's prior.
    """

    engines: int
    undecided: int
    rmse: float
    rmse_rows: float
    nasa: float
    calibration_error: float


def predict(bundle: Bundle, engines: Engines) -> LifePredictions:
    """Score each engine's rows, from its first cycle on, with a separate scorer."""
    network, rows = open_engine(bundle), channels(engines)
    score, confidence = np.full(len(rows), np.nan, np.float32), np.full(len(rows), np.nan, np.float32)
    last = np.zeros(len(rows), bool)
    for engine in np.unique(engines.engine):
        at = np.flatnonzero(engines.engine == engine)
        times = (engines.cycle[at] * (bundle.manifest.interval_s * 1e9)).astype(np.int64)
        results, _ = AssetScorer(bundle, network).feed(times, rows[at], np.full(rows[at].shape, GOOD, np.uint8))
        score[at], confidence[at], last[at[-1]] = results.score, results.confidence, True
    return LifePredictions(engines.engine, engines.cycle, score, confidence, engines.life, last)


def compute_metrics(predictions: LifePredictions, horizon: float, prior: float) -> LifeMetrics:
    """Compute the metrics of predictions."""
    decided = ~np.isnan(predictions.score)
    predicted, true = np.where(decided, predictions.score, CAP).astype(np.float64), np.minimum(predictions.life, CAP)
    errors = (predicted - true)[predictions.last]
    return LifeMetrics(
        engines=int(predictions.last.sum()),
        undecided=int((predictions.last & ~decided).sum()),
        rmse=rms(errors),
        rmse_rows=rms((predicted - true)[decided]),
        nasa=float(np.sum(np.where(errors < 0, np.exp(-errors / 13), np.exp(errors / 10)) - 1)),
        calibration_error=calibration.expected_error(predictions.confidence[decided], predictions.life[decided] < horizon, prior),
    )


def rms(errors: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))
