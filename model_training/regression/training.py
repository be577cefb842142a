"""The way from engines run to failure to the bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.bundle import Bundle, Calibration, save
from model_training import calibration, sources, tflite
from model_training.datasets import Cmapss, DatasetError, load_cmapss
from model_training.regression import baseline, design, examples, judging, network
from model_training.regression.examples import Examples
from model_training.request import Request, TrainingError

EPOCHS, FOLDS, EXAMPLES = 30, 4, 1000


def train(request: Request) -> Path:
    """Train, calibrate on engines that the training was kept from, write both bundles and the report; gives the int8 bundle's folder."""
    if request.data is None:
        raise TrainingError("regression wants C-MAPSS FD001; fetch it with `scripts/prepare fetch cmapss`, give the folder with --from")
    try:
        data = load_cmapss(request.data)
    except DatasetError as fault:
        raise TrainingError(str(fault)) from None
    for note in data.notes:
        request.say(note)
    engines = len(np.unique(data.train.engine))
    if engines < FOLDS:
        raise TrainingError(f"train_FD001.txt has {engines} whole engines, at least {FOLDS} are wanted; get the file anew")
    return _write(data, request)


def _write(data: Cmapss, request: Request) -> Path:
    say, epochs = request.say, 1 if request.quick else EPOCHS
    scaling = design.scaling(examples.channels(data.train))
    given = examples.build(design.manifest(scaling), data.train)
    if not len(given.x):
        raise TrainingError(f"no engine in train_FD001.txt lasts {design.manifest(scaling).min_rows} cycles; get the file anew")
    say(f"{len(given.x)} examples of {len(np.unique(given.engine))} engines")
    apart = held_out(given, request.seed, epochs, request)
    table = falling(apart["network"], given.life < design.HORIZON, design.PRIOR)
    say("training on all engines")
    model = network.train(given.x, given.life, design.CAP, request.seed, epochs, say)
    picked = np.random.default_rng(request.seed).choice(len(given.x), min(EXAMPLES, len(given.x)), replace=False)
    provenance = {
        "data": data.digests, "partial": data.partial, "data_source": data.provenance.as_json()["citation"], "seed": request.seed,
        "epochs": epochs, "parameters": int(model.count_params()), "examples": len(given.x), "code": sources.digest(__package__),
        "tensorflow": tflite.begin(request.seed).__version__,
    }
    bundles = {}
    for suffix, weights, file in (("", "int8", tflite.to_int8(model, given.x[picked])), ("-float32", "float32", tflite.to_float32(model))):
        folder = request.out / f"{design.NAME}{suffix}"
        bundles[weights] = save(folder, design.manifest(scaling, table, {**provenance, "weights": weights}), file)
        say(f"wrote {folder}: {len(file)} bytes, SHA-256 {bundles[weights].digest}")
    report(bundles, data, given, apart, request)
    return request.out / design.NAME


def held_out(given: Examples, seed: int, epochs: int, request: Request) -> dict[str, np.ndarray]:
    """For the network and the baseline: (n,) cycles, each engine's by a model that was trained without this engine."""
    out = {name: np.empty(len(given.x)) for name in ("network", "baseline")}
    parts = examples.folds(given.engine, 2 if request.quick else FOLDS, seed)
    for number, part in enumerate(parts, 1):
        apart = np.isin(given.engine, part)
        request.say(f"cross-validation {number}/{len(parts)}: {len(part)} engines kept out")
        model = network.train(given.x[~apart], given.life[~apart], design.CAP, seed, epochs, request.say)
        out["network"][apart] = network.predict(model, given.x[apart])
        out["baseline"][apart] = baseline.predict(baseline.fit(given.x[~apart], given.life[~apart]), given.x[apart])
    return out


def falling(score: np.ndarray, below: np.ndarray, prior: float) -> Calibration:
    """A table of confidences that fall as the score rises: how probable `below` is, at the prior."""
    table = calibration.fit(-score, below, prior)
    return Calibration(
        kind="table", scores=tuple(-value for value in reversed(table.scores)), confidences=tuple(reversed(table.confidences))
    )


def calibration_error(score: np.ndarray, given: Examples, seed: int) -> float:
    """The expected calibration error when one half of the engines fits the table and the other half is judged, both ways round."""
    halves = [np.isin(given.engine, part) for part in examples.folds(given.engine, 2, seed)]
    below = given.life < design.HORIZON
    confidence = np.empty(len(score))
    for fits, judged in (halves, halves[::-1]):
        confidence[judged] = calibration.apply(falling(score[fits], below[fits], design.PRIOR), score[judged])
    return calibration.expected_error(confidence, below, design.PRIOR)


def report(bundles: dict[str, Bundle], data: Cmapss, given: Examples, apart: dict[str, np.ndarray], request: Request) -> None:
    """Judge the bundles on the test engines, as on a device, and write `figures.json`."""
    capped = np.minimum(given.life, design.CAP)
    figures: dict[str, Any] = {
        "data": data.provenance.as_json(), "seed": request.seed,
        "cross_validation": {
            "engines": len(np.unique(given.engine)), "calibration_error": calibration_error(apart["network"], given, request.seed),
            **{f"rmse_rows_{name}": judging.rms(said - capped) for name, said in apart.items()},
        },
        "test": {},
    }
    for weights, bundle in bundles.items():
        answers = judging.answer(bundle, data.test)
        figures["test"][weights] = {
            **judging.worth(answers, design.HORIZON, design.PRIOR)._asdict(), "bytes": len(bundle.model), "sha256": bundle.digest,
        }
    linear = baseline.fit(given.x, given.life)
    judged = examples.build(bundles["int8"].manifest, data.test)
    ends = np.append(np.flatnonzero(np.diff(judged.engine)), len(judged.engine) - 1)
    figures["test"]["baseline"] = {
        "rmse": judging.rms(baseline.predict(linear, judged.x[ends]) - np.minimum(judged.life[ends], design.CAP)), "engines": len(ends)
    }
    for name, each in figures["test"].items():
        request.say(f"{name}: RMSE {each['rmse']:.2f} cycles over {each['engines']} test engines, capped at {design.CAP:g}")
    folder = request.out / f"{design.NAME}-report"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
