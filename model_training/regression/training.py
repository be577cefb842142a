"""The way from engines run to failure to the bundle."""

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
from model_training.training_request import TrainingError, TrainingRequest

EPOCHS, FOLDS, EXAMPLES = 8, 3, 1000


def train(request: TrainingRequest) -> Path:
    """Train, calibrate on engines that the training was kept from, write both bundles and the report; gives the int8 bundle's folder."""
    try:
        if request.data is None:
            fetch("cmapss", request.out / "data", say=request.say)
        data = load_cmapss(request.data or request.out / "data")
    except DatasetError as fault:
        raise TrainingError(str(fault)) from None
    for note in data.notes:
        request.say(note)
    engines = len(np.unique(data.train.engine))
    if engines < FOLDS:
        raise TrainingError(f"train_FD001.txt has {engines} whole engines, at least {FOLDS} are wanted; get the file anew")
    return _write(data, request)


def _write(data: Cmapss, request: TrainingRequest) -> Path:
    say, epochs = request.say, 1 if request.quick else EPOCHS
    scaling = manifest_template.scaling(examples.channels(data.train))
    given = examples.build(manifest_template.manifest(scaling), data.train)
    if not len(given.x):
        raise TrainingError(f"no engine in train_FD001.txt lasts {manifest_template.manifest(scaling).min_rows} cycles; get the file anew")
    copies = augmentation.stretched(data.train, 1 if request.quick else augmentation.COPIES, request.seed)
    more = examples.build(manifest_template.manifest(scaling), copies)
    say(f"{len(given.x)} examples of {len(np.unique(given.engine))} engines, and {len(more.x)} of stretched copies")
    apart = held_out(given, more, epochs, request)
    table = life_calibration.falling(apart["network"], given.life < manifest_template.HORIZON, manifest_template.PRIOR)
    say("training on all engines")
    model = _network(given, more, epochs, request)
    picked = np.random.default_rng(request.seed).choice(len(given.x), min(EXAMPLES, len(given.x)), replace=False)
    provenance = {
        "data": data.digests,
        "partial": data.partial,
        "data_source": data.provenance.as_json()["citation"],
        "seed": request.seed,
        "epochs": epochs,
        "parameters": int(model.count_params()),
        "examples": len(given.x) + len(more.x),
        "code": source_digest.digest(__package__),
        "tensorflow": tflite_export.begin(request.seed).__version__,
    }
    bundles = {}
    for suffix, weights, file in (
        ("", "int8", tflite_export.to_int8(model, given.x[picked])),
        ("-float32", "float32", tflite_export.to_float32(model)),
    ):
        folder = request.out / f"{manifest_template.NAME}{suffix}"
        bundles[weights] = save(folder, manifest_template.manifest(scaling, table, {**provenance, "weights": weights}), file)
        say(f"wrote {folder}: {len(file)} bytes, SHA-256 {bundles[weights].digest}")
    report.write(request.out / f"{manifest_template.NAME}-report", bundles, data, given, apart, request)
    return request.out / manifest_template.NAME


def held_out(given: Examples, more: Examples, epochs: int, request: TrainingRequest) -> dict[str, np.ndarray]:
    """For the network and the baseline: (n,) cycles, each engine's by a model that was trained without this engine and its copies."""
    out = {name: np.empty(len(given.x)) for name in ("network", "baseline")}
    parts = examples.folds(given.engine, 2 if request.quick else FOLDS, request.seed)
    for number, part in enumerate(parts, 1):
        apart, rest = np.isin(given.engine, part), np.setdiff1d(given.engine, part)
        request.say(f"cross-validation {number}/{len(parts)}: {len(part)} engines kept out")
        model = _network(given.of(rest), more.of(rest), epochs, request)
        out["network"][apart] = network.predict(model, given.x[apart])
        out["baseline"][apart] = baseline.predict(baseline.fit(given.x[~apart], given.life[~apart]), given.x[apart])
    return out


def _network(given: Examples, more: Examples, epochs: int, request: TrainingRequest) -> Any:
    x, life = np.concatenate([given.x, more.x]), np.concatenate([given.life, more.life])
    return network.train(x, life, manifest_template.CAP, request.seed, epochs, request.say)
