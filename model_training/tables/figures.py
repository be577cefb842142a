"""The figures of a run as plain data: the network, its baselines and the null on held-out units and on test rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from model_training.tables import calibration, evaluation, intervals
from model_training.tables.evaluation import Predictions
from model_training.tables.outcome import Outcome


def compute(outcome: Outcome, predictions: dict[str, Predictions]) -> dict[str, Any]:
    """Compute the figures.

    Args:
        predictions: results of the bundles on the test rows, by weights; empty without test rows.
    """
    table = outcome.table
    manifest = outcome.bundles[outcome.shipped].manifest
    found: dict[str, Any] = {
        "kind": "classification" if table.classes else "regression",
        "name": manifest.name,
        "target": outcome.spec.target,
        "unit": outcome.spec.unit,
        "seed": outcome.seed,
        "shipped": outcome.shipped,
        "data": dict(outcome.data),
        "rows": len(table),
        "units": len(np.unique(outcome.examples.unit)),
        "grouped": bool(outcome.spec.group),
        "folds": outcome.folds,
        "cap": outcome.spec.cap,
        "condition": outcome.condition.what,
        "prior": outcome.condition.prior,
        "bundles": {weights: {"bytes": len(bundle.model), "sha256": bundle.digest} for weights, bundle in outcome.bundles.items()},
    }
    each = _classes if table.classes else _numbers
    found["cross_validation"] = {method: each(outcome, outputs) for method, outputs in outcome.outputs.items()}
    if outcome.bounds is not None:
        share, width = intervals.measured(
            outcome.outputs[outcome.shipped], outcome.target, outcome.examples.unit, outcome.bounds.coverage, outcome.seed
        )
        found["interval"] = {"stated": outcome.bounds.coverage, "held_out": share, "mean_width": width}
    if outcome.test is not None and predictions:
        found["test"] = _test(outcome, predictions)
        if outcome.bounds is not None:
            chosen = predictions[outcome.shipped]
            true = outcome.capped(outcome.test.target)
            found["interval"]["test"] = intervals.share_inside(outcome.bounds, chosen.score[chosen.decided], true[chosen.decided])
    return found


def main(figures: dict[str, Any]) -> dict[str, Any]:
    """The main figures, for the last line of the command."""
    found = figures["cross_validation"]
    keys = ("f1", "macro_f1", "calibration_error") if figures["kind"] == "classification" else ("rmse", "mae", "r2", "calibration_error")
    answer: dict[str, Any] = {"kind": figures["kind"], "held_out": _rounded(found[figures["shipped"]], keys)}
    for method in ("boosted", "linear", "null"):
        answer[method] = _rounded(found[method], keys[:1])
    if "interval" in figures:
        answer["interval"] = {key: round(value, 4) for key, value in figures["interval"].items()}
    if "test" in figures:
        answer["test"] = _rounded(figures["test"][figures["shipped"]], ("rmse", "rmse_rows", "f1", "calibration_error"))
    return answer


def _rounded(values: dict[str, Any], keys: tuple[str, ...]) -> dict[str, float]:
    return {key: round(float(values[key]), 4) for key in keys if key in values and values[key] is not None}


def _numbers(outcome: Outcome, estimate: np.ndarray) -> dict[str, Any]:
    truth = outcome.condition.holds(outcome.examples.target)
    confidence = calibration.cross_calibrate(estimate, truth, outcome.examples.unit, outcome.condition, outcome.seed)
    return {
        **evaluation.number_metrics(estimate, outcome.target),
        "calibration_error": calibration.expected_error(confidence, truth, outcome.condition.prior),
    }


def _classes(outcome: Outcome, probabilities: np.ndarray) -> dict[str, Any]:
    classes = outcome.target.astype(int)
    truth = classes > 0
    confidence = calibration.cross_calibrate(1 - probabilities[:, 0], truth, outcome.examples.unit, outcome.condition, outcome.seed)
    return {
        **_rates(outcome, confidence, probabilities, classes),
        "calibration_error": calibration.expected_error(confidence, truth, outcome.condition.prior),
        "log_loss": calibration.log_loss(probabilities, classes),
    }


def _rates(outcome: Outcome, confidence: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> dict[str, Any]:
    by_class = evaluation.rates_by_class(
        evaluation.predicted_class(confidence, probabilities, outcome.level), classes, outcome.table.classes
    )
    return {
        **evaluation.rates(confidence >= outcome.level, classes > 0)._asdict(),
        "classes": {name: rate._asdict() for name, rate in by_class.items()},
        "macro_f1": evaluation.macro_f1(by_class),
    }


def _test(outcome: Outcome, predictions: dict[str, Predictions]) -> dict[str, Any]:
    test = outcome.test
    assert test is not None and outcome.test_examples is not None
    last = np.append(np.diff(test.unit) != 0, True)
    true = outcome.capped(test.target)
    found: dict[str, Any] = {}
    for weights, predicted in predictions.items():
        decided = predicted.decided
        truth = outcome.condition.holds(test.target)[decided]
        error = calibration.expected_error(predicted.confidence[decided], truth, outcome.condition.prior)
        if test.classes:
            found[weights] = _rates(outcome, predicted.confidence[decided], predicted.answers[decided], test.target[decided].astype(int))
        else:
            # Without a decision at its last row, a unit counts as estimated at the mean of the training rows.
            estimate = np.where(decided, predicted.score, outcome.target.mean())
            found[weights] = {
                "rmse": evaluation.rms((estimate - true)[last]),
                "rmse_rows": evaluation.rms((estimate - true)[decided]),
                "units": int(last.sum()),
                "undecided": int((last & ~decided).sum()),
            }
        found[weights] |= {"calibration_error": error}
    for method, outputs in outcome.test_outputs.items():
        examples = outcome.test_examples
        if test.classes:
            confidence = 1 - outputs[:, 0]
            found[method] = _rates(outcome, confidence, outputs, examples.target.astype(int))
        else:
            ends = np.append(np.diff(examples.unit) != 0, True)
            errors = outputs - outcome.capped(examples.target)
            found[method] = {"rmse": evaluation.rms(errors[ends]), "rmse_rows": evaluation.rms(errors), "units": int(ends.sum())}
    return found
