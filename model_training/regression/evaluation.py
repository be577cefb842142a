"""Judging: every row of an engine through the scorer that runs on a device, and what the answers are worth."""

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
    """The model's answers, one a row of the engines.

    Attributes:
        score, confidence: (n,) float32, NaN where there was no decision.
        life: (n,) float32, the true remaining cycles, not capped.
        last: (n,) bool, the last row of its engine.
    """

    engine: np.ndarray
    cycle: np.ndarray
    score: np.ndarray
    confidence: np.ndarray
    life: np.ndarray
    last: np.ndarray


class LifeMetrics(NamedTuple):
    """What answers are worth.

    Attributes:
        engines, undecided: judged engines, and those without a decision at their last row; these count as the cap.
        rmse: cycles, capped, over the engines' last rows.
        rmse_rows: the same over all rows with a decision.
        nasa: the challenge's score over the last rows, capped: the sum of exp(d/10) - 1 where the
            model promises d cycles too many, and of exp(d/13) - 1 where d too few.
        calibration_error: expected error of the confidence over all rows with a decision, at the manifest's prior.
    """

    engines: int
    undecided: int
    rmse: float
    rmse_rows: float
    nasa: float
    calibration_error: float


def predict(bundle: Bundle, engines: Engines) -> LifePredictions:
    """Feed each engine's rows, from its first cycle on, to a scorer of its own."""
    network, rows = open_engine(bundle), channels(engines)
    score, confidence = np.full(len(rows), np.nan, np.float32), np.full(len(rows), np.nan, np.float32)
    last = np.zeros(len(rows), bool)
    for engine in np.unique(engines.engine):
        at = np.flatnonzero(engines.engine == engine)
        times = (engines.cycle[at] * (bundle.manifest.interval_s * 1e9)).astype(np.int64)
        results, _ = AssetScorer(bundle, network).feed(times, rows[at], np.full(rows[at].shape, GOOD, np.uint8))
        score[at], confidence[at], last[at[-1]] = results.score, results.confidence, True
    return LifePredictions(engines.engine, engines.cycle, score, confidence, engines.life, last)


def compute_metrics(answers: LifePredictions, horizon: float, prior: float) -> LifeMetrics:
    """The figures of some engines' answers."""
    decided = ~np.isnan(answers.score)
    predicted, true = np.where(decided, answers.score, CAP).astype(np.float64), np.minimum(answers.life, CAP)
    errors = (predicted - true)[answers.last]
    return LifeMetrics(
        engines=int(answers.last.sum()),
        undecided=int((answers.last & ~decided).sum()),
        rmse=rms(errors),
        rmse_rows=rms((predicted - true)[decided]),
        nasa=float(np.sum(np.where(errors < 0, np.exp(-errors / 13), np.exp(errors / 10)) - 1)),
        calibration_error=calibration.expected_error(answers.confidence[decided], answers.life[decided] < horizon, prior),
    )


def rms(errors: np.ndarray) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(errors))))
