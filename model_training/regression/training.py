"""Training run: from engines run to failure to the bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model.bundle import save
from model_training import source_digest, tflite_export
from model_training.datasets import Cmapss, DatasetError, load_cmapss
from model_training.datasets.fetch import fetch
from model_training.regression import augmentation, baseline, examples, life_calibration, manifest_template, network, report
from model_training.regression.examples import Examples
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult

EPOCHS, FOLDS, EXAMPLES = 8, 3, 1000


def train(request: TrainingRequest) -> TrainingResult:
    """Train, calibrate on held-out engines, write both bundles and the report."""
    try:
        if request.data is None:
            fetch("cmapss", request.out / "data", log=request.log)
        data = load_cmapss(request.data or request.out / "data")
    except DatasetError as fault:
        raise TrainingError(str(fault)) from None
    for note in data.notes:
        request.log(note)
    engines = len(np.unique(data.train.engine))
    if engines < FOLDS:
        raise TrainingError(f"train_FD001.txt has {engines} whole engines, but at least {FOLDS} are needed; download the file again")
    return TrainingResult(_write(data, request))


def _write(data: Cmapss, request: TrainingRequest) -> Path:
    log, epochs = request.log, 1 if request.quick else EPOCHS
    scaling = manifest_template.scaling(examples.channels(data.train))
    training_set = examples.build(manifest_template.manifest(scaling), data.train)
    if not len(training_set.x):
        raise TrainingError(
            f"no engine in train_FD001.txt lasts {manifest_template.manifest(scaling).min_rows} cycles; download the file again"
        )
    copies = augmentation.stretched(data.train, 1 if request.quick else augmentation.COPIES, request.seed)
    stretched_set = examples.build(manifest_template.manifest(scaling), copies)
    log(f"{len(training_set.x)} examples of {len(np.unique(training_set.engine))} engines, and {len(stretched_set.x)} of stretched copies")
    held_out = cross_predict(training_set, stretched_set, epochs, request)
    table = life_calibration.falling(held_out["network"], training_set.life < manifest_template.HORIZON, manifest_template.PRIOR)
    log("training on all engines")
    model = _network(training_set, stretched_set, epochs, request)
    sampled = np.random.default_rng(request.seed).choice(len(training_set.x), min(EXAMPLES, len(training_set.x)), replace=False)
    provenance = {
        "data": data.digests,
        "partial": data.partial,
        "data_source": data.provenance.as_json()["citation"],
        "seed": request.seed,
        "epochs": epochs,
        "parameters": int(model.count_params()),
        "examples": len(training_set.x) + len(stretched_set.x),
        "code": source_digest.digest(__package__),
        "tensorflow": tflite_export.begin(request.seed).__version__,
    }
    bundles = {}
    for suffix, weights, file in (
        ("", "int8", tflite_export.to_int8(model, training_set.x[sampled])),
        ("-float32", "float32", tflite_export.to_float32(model)),
    ):
        folder = request.out / f"{manifest_template.NAME}{suffix}"
        bundles[weights] = save(folder, manifest_template.manifest(scaling, table, {**provenance, "weights": weights}), file)
        log(f"wrote {folder}: {len(file)} bytes, SHA-256 {bundles[weights].digest}")
    report.write(request.out / f"{manifest_template.NAME}-report", bundles, data, training_set, held_out, request)
    return request.out / manifest_template.NAME


def cross_predict(training_set: Examples, stretched_set: Examples, epochs: int, request: TrainingRequest) -> dict[str, np.ndarray]:
    """Cycles (n,) for `network` and `baseline`, each engine predicted by a model that was trained without it and its copies."""
    out = {name: np.empty(len(training_set.x)) for name in ("network", "baseline")}
    parts = examples.folds(training_set.engine, 2 if request.quick else FOLDS, request.seed)
    for number, part in enumerate(parts, 1):
        held_out, rest = np.isin(training_set.engine, part), np.setdiff1d(training_set.engine, part)
        request.log(f"cross-validation {number}/{len(parts)}: {len(part)} engines held out")
        model = _network(training_set.of(rest), stretched_set.of(rest), epochs, request)
        out["network"][held_out] = network.predict(model, training_set.x[held_out])
        out["baseline"][held_out] = baseline.predict(
            baseline.fit(training_set.x[~held_out], training_set.life[~held_out]), training_set.x[held_out]
        )
    return out


def _network(training_set: Examples, stretched_set: Examples, epochs: int, request: TrainingRequest) -> Any:
    x, life = np.concatenate([training_set.x, stretched_set.x]), np.concatenate([training_set.life, stretched_set.life])
    return network.train(x, life, manifest_template.CAP, request.seed, epochs, request.log)
