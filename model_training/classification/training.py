"""Training run: from the rows of a milling machine to the bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model.bundle import assemble, save
from model_training import calibration, source_digest, tflite_export
from model_training.classification import baseline, cross_validation, evaluation, features, manifest_template, network, report
from model_training.datasets import Ai4i, DatasetError, load_ai4i
from model_training.datasets.ai4i import CLASSES as KINDS
from model_training.datasets.fetch import fetch
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult

EPOCHS, FOLDS, EXAMPLES = 60, 5, 1000


def train(request: TrainingRequest) -> TrainingResult:
    """Train, calibrate by cross-validation, write both bundles and the report."""
    try:
        if request.data is None:
            fetch("ai4i", request.out / "data", log=request.log)
        data = load_ai4i(request.data or request.out / "data")
    except DatasetError as fault:
        raise TrainingError(str(fault)) from None
    for note in data.notes:
        request.log(note)
    if not FOLDS <= data.failure.sum() <= len(data.failure) - FOLDS:
        raise TrainingError(
            f"ai4i2020.csv has {int(data.failure.sum())} failures in {len(data.failure)} rows, but at least {FOLDS} rows of each class "
            "are needed; download the file again: edgeml data fetch ai4i"
        )
    return TrainingResult(_Run(data, request).write())


class _Run:
    """One training run."""

    def __init__(self, data: Ai4i, request: TrainingRequest) -> None:
        self._data, self._request = data, request
        self._rows, self._classes = manifest_template.rows(data), manifest_template.classes(data, KINDS)
        self._manifest = manifest_template.manifest()
        self._x = manifest_template.scaled(self._rows)[:, None].astype(np.float32)
        self._epochs = 1 if request.quick else EPOCHS

    def write(self) -> Path:
        request, failure = self._request, self._classes > 0
        scores, probabilities = self._cross_predict(cross_validation.folds(self._classes, 2 if request.quick else FOLDS, request.seed))
        table = calibration.fit(scores["int8"], failure, manifest_template.PRIOR)
        request.log("training on all rows")
        model = self._train(np.ones(len(failure), bool))
        provenance = {
            "data": self._data.digests,
            "partial": self._data.partial,
            "data_source": self._data.provenance.as_json()["citation"],
            "types_derived": self._data.derived,
            "seed": request.seed,
            "epochs": self._epochs,
            "parameters": int(model.count_params()),
            "examples": len(self._x),
            "code": source_digest.digest(__package__),
            "tensorflow": tflite_export.begin(request.seed).__version__,
        }
        bundles = {}
        for suffix, weights, file in (("", "int8", self._int8(model)), ("-float32", "float32", tflite_export.to_float32(model))):
            folder = request.out / f"{manifest_template.NAME}{suffix}"
            bundles[weights] = save(folder, manifest_template.manifest(table, {**provenance, "weights": weights}), file)
            request.log(f"wrote {folder}: {len(file)} bytes, SHA-256 {bundles[weights].digest}")
        report.write(request.out / f"{manifest_template.NAME}-report", bundles, self._data, self._classes, scores, probabilities, request)
        return request.out / manifest_template.NAME

    def _train(self, chosen: np.ndarray) -> Any:
        return network.train(
            self._x[chosen],
            self._classes[chosen],
            len(manifest_template.CLASSES),
            self._request.seed,
            self._epochs,
            self._request.log,
        )

    def _int8(self, model: Any) -> bytes:
        sampled = np.random.default_rng(self._request.seed).choice(len(self._x), min(EXAMPLES, len(self._x)), replace=False)
        # Both ends of each channel's range, so that the int8 range does not depend on the sample.
        ends = np.stack([np.full(self._x.shape[1:], end, np.float32) for end in (-1.0, 1.0)])
        return tflite_export.to_int8(model, np.concatenate([self._x[sampled], ends]))

    def _cross_predict(self, parts: list[np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Scores (n,) and probabilities (n, classes) of each row by models that were trained without it."""
        n = len(self._x)
        scores = {name: np.empty(n) for name in ("int8", "float32", "baseline", "baseline_features")}
        probabilities = {name: np.empty((n, len(manifest_template.CLASSES))) for name in ("int8", "float32")}
        flat = self._x[:, 0].astype(np.float64)
        inputs = {"baseline": flat, "baseline_features": features.features(flat)}
        for number, part in enumerate(parts, 1):
            self._request.log(f"cross-validation {number}/{len(parts)}: {part.sum()} rows held out")
            model = self._train(~part)
            for name, file in (("int8", self._int8(model)), ("float32", tflite_export.to_float32(model))):
                scores[name][part], _, probabilities[name][part] = evaluation.predict(assemble(self._manifest, file), self._rows[part])
            for name, matrix in inputs.items():
                scores[name][part] = baseline.predict(baseline.fit(matrix[~part], self._classes[~part] > 0), matrix[part])
        return scores, probabilities
