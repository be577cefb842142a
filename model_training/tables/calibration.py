"""From scores to confidences: the condition that the confidence stands for, its table, and the temperature of class probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.model.manifest import Calibration
from model_training import calibration
from model_training.tables import split
from model_training.tables.spec import Spec
from model_training.tables.table import Table
from model_training.training_request import TrainingError

DEFAULT_QUANTILE = 0.95
"""Without a limit in the spec, the confidence stands for a target above this quantile of the history."""
DEFAULT_HORIZON = 1 / 6
"""Without a horizon for a life, it is this share of the median life."""
MIN_POSITIVES = 5
TEMPERATURES = np.geomspace(0.25, 4, 81)


class Condition(NamedTuple):
    """What the confidence is the probability of.

    Attributes:
        what: for people, such as `less than 30 cycles`.
        limit, below: a number under or over the limit; None for classes.
        prior: share of the rows in operation.
        meaning: the manifest's `score`.
    """

    what: str
    limit: float | None
    below: bool
    prior: float
    meaning: str

    @property
    def horizon(self) -> float | None:
        return self.limit if self.below else None

    def holds(self, target: np.ndarray) -> np.ndarray:
        """Whether it is true, (n,) bool, for true targets."""
        if self.limit is None:
            return target > 0
        return target < self.limit if self.below else target > self.limit


def condition(table: Table, spec: Spec) -> Condition:
    """The condition of a table.

    Raises:
        TrainingError: too few rows fulfil the limit, or too many.
    """
    if table.classes:
        prior = spec.prior or float((table.target > 0).mean())
        kinds = ", ".join(table.classes[1:])
        meaning = (
            f"1 minus the model's probability of `{table.classes[0]}`, 0 to 1. The confidence is the probability of any other class; the "
            f"class is the most probable of {kinds}."
        )
        return Condition(f"any class but {table.classes[0]}", None, False, prior, meaning)
    unit = f" {spec.unit}" if spec.unit else ""
    limit, below = (spec.horizon, True) if spec.horizon is not None else (spec.above, False)
    if limit is None and spec.run_to_failure:
        limit, below = float(max(2, round(float(np.median(np.bincount(table.unit))) * DEFAULT_HORIZON))), True
    if limit is None:
        limit = float(f"{np.quantile(table.target, DEFAULT_QUANTILE):.4g}")
    found = table.target < limit if below else table.target > limit
    if not MIN_POSITIVES <= found.sum() <= len(found) - MIN_POSITIVES:
        raise TrainingError(
            f"{int(found.sum())} of {len(found)} rows have a target {'below' if below else 'above'} {limit:g}, so its probability cannot "
            "be "
            f"learned; the target goes from {table.target.min():g} to {table.target.max():g}: choose another limit (--horizon or --above)"
        )
    what = f"{'less' if below else 'more'} than {limit:g}{unit}"
    capped = f", up to {spec.cap:g}; {spec.cap:g} stands for that and anything larger" if spec.cap is not None else ""
    meaning = f"The estimated {spec.target}{f' in{unit}' if unit else ''}{capped}. The confidence is the probability of {what}."
    return Condition(what, limit, below, spec.prior or float(found.mean()), meaning)


def fit(score: np.ndarray, truth: np.ndarray, condition: Condition) -> Calibration:
    """Fit a table from score to confidence; it falls if the condition is a target below its limit."""
    if len(np.unique(score)) < 2:
        flat = float(np.clip(condition.prior, 0, 1))
        return Calibration(kind="table", scores=(float(score[0]) - 1, float(score[0]) + 1), confidences=(flat, flat))
    if not condition.below:
        return calibration.fit(score, truth, condition.prior)
    table = calibration.fit(-score, truth, condition.prior)
    return Calibration(
        kind="table", scores=tuple(-value for value in reversed(table.scores)), confidences=tuple(reversed(table.confidences))
    )


def cross_calibrate(score: np.ndarray, truth: np.ndarray, unit: np.ndarray, condition: Condition, seed: int) -> np.ndarray:
    """Confidences (n,) of each half of the units by a table fitted on the other half."""
    halves, confidence = split.folds(unit, truth.astype(int), 2, seed), np.empty(len(score))
    for measured in halves:
        if truth[~measured].all() or not truth[~measured].any():
            confidence[measured] = condition.prior
            continue
        confidence[measured] = calibration.apply(fit(score[~measured], truth[~measured], condition), score[measured])
    return confidence


def expected_error(confidence: np.ndarray, truth: np.ndarray, prior: float) -> float | None:
    """Expected calibration error at the prior; None if the condition holds in all rows or in none."""
    if truth.all() or not truth.any():
        return None
    return calibration.expected_error(confidence, truth, prior)


def temperature(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Temperature by which held-out probabilities (n, k) are closest to the classes (n,), by log loss."""
    logits = np.log(np.clip(probabilities, 1e-7, 1))
    losses = [log_loss(tempered(logits, each), classes) for each in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def tempered(logits: np.ndarray, value: float) -> np.ndarray:
    """Softmax (n, k) of logits divided by a temperature."""
    scaled = logits / value
    shifted = np.exp(scaled - scaled.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def log_loss(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Mean negative logarithm of the probability of the true class."""
    return float(-np.log(np.clip(probabilities[np.arange(len(classes)), classes.astype(int)], 1e-7, 1)).mean())
