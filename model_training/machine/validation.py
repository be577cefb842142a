"""How well a model does on rows that it was not trained on: trained on the first four fifths of a history, evaluated on the last fifth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeml.alarms.alarm_policy import AlarmPolicy
from edgeml.model.bundle import Bundle, assemble
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.scorer import AssetScorer, ScoringEngine
from model_training import calibration
from model_training.evaluation import injection
from model_training.evaluation.bundle_scoring import alarm_rows, score_rows
from model_training.evaluation.injection import Found, NormalRows
from model_training.history import History
from model_training.machine import learning
from model_training.machine.budget import Budget
from model_training.machine.numpy_engine import NumpyEngine
from model_training.machine.series import Series
from model_training.training_request import TrainingError

TRAINED_SHARE = 0.8
MIN_EVALUATED = 32
PRIORS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
EXAMPLE_SIZE = 4.0
"""Standard deviations of the step in the card's picture."""


@dataclass(frozen=True)
class Example:
    """A recording with a fault that was laid over it, for a picture.

    Attributes:
        times: (n,) int64 ns.
        values: (n, c).
        begin: first row of the fault.
        channel: its channel.
        confidence: (n,), NaN without a decision.
        alarm: (n,) bool.
        views: (n, c): the model's own view of each channel.
    """

    times: np.ndarray
    values: np.ndarray
    begin: int
    channel: int
    confidence: np.ndarray
    alarm: np.ndarray
    views: np.ndarray


@dataclass(frozen=True)
class Validation:
    """The outcome on held-out rows.

    Attributes:
        rows: normal rows with a decision.
        alarms: false alarms in them.
        expected: false alarms that the budget expects in them.
        alarm_share: share of them with an active alarm.
        found: faults laid over them.
        prior: the share of time with faults at which the confidences are calibrated best.
        calibration_error: expected error of the confidence at that prior.
        example: a step in one channel; None if there was no room for one.
    """

    rows: int
    alarms: int
    expected: float
    alarm_share: float
    found: tuple[Found, ...]
    prior: float
    calibration_error: float
    example: Example | None


def validate(history: History, series: Series, name: str, budget: Budget, seed: int, log: Callable[[str], None]) -> Validation | None:
    """Evaluate the last fifth of the rows; None if the history is too short for that."""
    end = round(len(series) * TRAINED_SHARE)
    log("validating: a second model learns from the first four fifths of the rows")
    try:
        machine = learning.learn(history, series.first(end), name, budget, seed, lambda text: None)
    except TrainingError as fault:
        log(f"not validated: four fifths of the history do not train a model: {fault}")
        return None
    bundle = assemble(machine.manifest, b"")
    engine = NumpyEngine(machine.fit, machine.promise.level, len(machine.manifest.channels))
    begin = int(series.series[end])
    rows = NormalRows(
        series.times[begin:],
        series.values[begin:].astype(np.float32),
        series.normal[begin:] & (np.arange(begin, len(series)) >= end),
    )
    outcome = run_on_device(bundle, engine, rows.times, rows.values)
    counted = rows.usable & np.isfinite(outcome.confidence)
    count = int(counted.sum())
    if count < MIN_EVALUATED:
        log(f"not validated: only {count} rows of the last fifth have a decision")
        return None
    found = injection.table(bundle, engine, NormalRows(rows.times, rows.values, counted), seed)
    prior, error = _calibrated(outcome.confidence[counted], found)
    alarms = sum(bool(counted[row]) for row in outcome.raised)
    log(f"on {count} held-out rows: {alarms} false alarm{'' if alarms == 1 else 's'}, the budget allows {count / machine.promise.rows:.2f}")
    return Validation(
        count,
        alarms,
        count / machine.promise.rows,
        float(outcome.alarm[counted].mean()),
        tuple(found),
        prior,
        error,
        _example(bundle, engine, rows, np.flatnonzero(counted)),
    )


@dataclass(frozen=True)
class DeviceResult:
    """What a device makes of n rows.

    Attributes:
        confidence: (n,), NaN without a decision.
        alarm: (n,) bool: an alarm is active after the row.
        raised: rows at which alarms became active.
        views: (n, c): the model's own view of each channel.
    """

    confidence: np.ndarray
    alarm: np.ndarray
    raised: tuple[int, ...]
    views: np.ndarray


def run_on_device(bundle: Bundle, engine: ScoringEngine, times: np.ndarray, values: np.ndarray) -> DeviceResult:
    """Run the scorer and the alarm policy of a device over rows, (n, c) float32, NaN for missing."""
    result, confidence = score_rows(AssetScorer(bundle, engine), times, values)
    policy = AlarmPolicy(effective_policy(bundle.manifest), "", bundle.manifest.name)
    alarm, raised = alarm_rows(policy.evaluate_block("recording", times.tolist(), confidence.tolist()).changes, len(times))
    return DeviceResult(confidence, alarm, raised, result.deviations.astype(np.float32))


def _calibrated(normal: np.ndarray, found: list[Found]) -> tuple[float, float]:
    """The prior at which the confidences are calibrated best, and the calibration error at it."""
    faulty = np.concatenate([each.confidence for each in found if each.size > 0] or [np.zeros(0)])
    if not len(faulty) or not len(normal):
        return PRIORS[-1], float("nan")
    confidence = np.concatenate([normal, faulty])
    truth = np.concatenate([np.zeros(len(normal), bool), np.ones(len(faulty), bool)])
    error, prior = min((calibration.expected_error(confidence, truth, each), each) for each in PRIORS)
    return prior, error


def _example(bundle: Bundle, engine: ScoringEngine, rows: NormalRows, counted: np.ndarray) -> Example | None:
    """A step in the first measured channel, halfway through the held-out rows."""
    reach = 2 * injection.ROWS
    begin = int(counted[len(counted) // 2])
    first, last = max(0, begin - reach), min(len(rows.times), begin + reach)
    channel = next(place for place, name in enumerate(bundle.manifest.names) if name not in bundle.manifest.context)
    values = rows.values[:last].copy()
    values[begin:, channel] += np.float32(EXAMPLE_SIZE * bundle.manifest.scaling.std[channel])
    outcome = run_on_device(bundle, engine, rows.times[:last], values)
    part = slice(first, last)
    return Example(
        rows.times[part], values[part], begin - first, channel, outcome.confidence[part], outcome.alarm[part], outcome.views[part]
    )
