"""Report on the failure-type model: `figures.json`, plots and the model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model.bundle import Bundle
from model_training import calibration
from model_training.classification import cross_validation, evaluation, manifest_template
from model_training.datasets import Ai4i
from model_training.report import model_card, plots
from model_training.training_request import TrainingRequest

SELECTION = (
    "Features, scaling, epochs and learning rate were selected among 7 settings by the five-fold figures above, which are therefore "
    "slightly optimistic. The verdict level was fixed before."
)
LIMITS = (
    "Failures by tool wear occur at a random moment of a worn tool, and failures of the class `other` without any sign. No model can "
    "predict them, and they limit the recall. The data are synthetic. int8 resolves speed to 7 /min, torque to "
    "0.3 Nm and temperatures to 0.04 K, "
    "so rows close to a limit may be misclassified."
)


def write(
    folder: Path,
    bundles: dict[str, Bundle],
    data: Ai4i,
    classes: np.ndarray,
    scores: dict[str, np.ndarray],
    probabilities: dict[str, np.ndarray],
    request: TrainingRequest,
) -> dict[str, Any]:
    """Write the report on bundles (by weights, int8 first) and return its figures.

    Args:
        classes: (n,) int, true class of each row.
        scores, probabilities: (n,) and (n, classes) by method, each row predicted by a model that was trained without it.
    """
    failure = classes > 0
    confidence = {name: cross_validation.cross_calibrate(score, failure, request.seed) for name, score in scores.items()}
    figures: dict[str, Any] = {
        "data": data.provenance.as_json(),
        "types_derived": data.derived,
        "seed": request.seed,
        "cross_validation": {name: _figures(confidence[name], probabilities.get(name), classes) for name in scores},
        "bundles": {weights: {"bytes": len(bundle.model), "sha256": bundle.digest} for weights, bundle in bundles.items()},
    }
    for name, each in figures["cross_validation"].items():
        request.log(f"{name}: F1 of failure {each['f1']:.3f}, calibration error {each['calibration_error']:.3f}, cross-validated")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    plots.reliability(folder / "reliability.png", "Held-out rows, int8", confidence["int8"], failure, manifest_template.PRIOR)
    source = data.provenance.as_json()
    model_card.write(
        folder,
        model_card.Card(
            answers="For each workpiece, the model estimates the probability that the machine fails on it, and the type of failure. It is "
            "trained on a synthetic milling machine.",
            data=f"{source['citation']}; {source['licence']}. " + "; ".join(data.notes) + ".",
            figures=table(figures),
            limits=LIMITS,
            plots={"Reliability": "reliability.png"},
            sections={"By type of failure": model_card.markdown(types(figures)), "Model selection": SELECTION},
        ),
        list(bundles.values()),
    )
    return figures


def table(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    """Table of the five-fold figures of failure or no failure; the first row is the heading."""
    head = "five-fold, failure or no failure", "F1", "precision", "recall", "macro F1 of types", "calibration error", "bytes"
    rows: list[tuple[str, ...]] = [head]
    names = {
        "int8": "network, int8",
        "float32": "network, float32",
        "baseline": "logistic regression, channels",
        "baseline_features": "logistic regression, with the physical features",
    }
    for key, each in figures["cross_validation"].items():
        size = figures["bundles"].get(key, {}).get("bytes")
        rows.append(
            (
                names[key],
                f"{each['f1']:.3f}",
                f"{each['precision']:.3f}",
                f"{each['recall']:.3f}",
                f"{each['macro_f1']:.3f}" if "macro_f1" in each else "-",
                f"{each['calibration_error']:.3f}",
                str(size) if size else "-",
            )
        )
    return rows


def types(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    """Table of the five-fold figures by type, int8; the first row is the heading."""
    rows: list[tuple[str, ...]] = [("type", "rows", "F1", "precision", "recall")]
    for name, each in figures["cross_validation"]["int8"]["types"].items():
        rows.append((name, str(each["support"]), *(f"{each[key]:.3f}" for key in ("f1", "precision", "recall"))))
    return rows


def _figures(confidence: np.ndarray, probabilities: np.ndarray | None, classes: np.ndarray) -> dict[str, Any]:
    failure = classes > 0
    out: dict[str, Any] = {
        **evaluation.rates(confidence >= manifest_template.VERDICT_LEVEL, failure)._asdict(),
        "calibration_error": calibration.expected_error(confidence, failure, manifest_template.PRIOR),
    }
    if probabilities is not None:
        each = evaluation.rates_by_class(
            evaluation.predicted_class(confidence, probabilities, manifest_template.VERDICT_LEVEL), classes, manifest_template.CLASSES
        )
        out |= {"types": {name: rate._asdict() for name, rate in each.items()}, "macro_f1": evaluation.macro_f1(each)}
    return out
