"""Training run: from recordings and simulated pumps to the bundles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeml.model.bundle import save
from model_training import source_digest, tflite_export
from model_training.anomaly import manifest_template, network, rig_recordings, training_examples
from model_training.datasets import Recording, Skab
from model_training.datasets.provenance import ALTERED, PARTIAL
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult

EPOCHS = 10
EXAMPLES = 2000

CODE = ("datasets/skab.py", "evaluation/splits.py", "input_recorder.py", "../components/sensor_ingestion/sources/pump_physics.py")
"""Files of other packages that determine the model besides the data. The manifest records their digest, with that of this package."""


def train(request: TrainingRequest) -> TrainingResult:
    """Train, and write the int8 and the float32 bundle."""
    if request.data is None:
        raise TrainingError("anomaly needs recordings; name the folder that holds skab/ with --from")
    data = rig_recordings.load_recordings(request.data)
    for sentence in data_warnings(data):
        request.log(sentence)
    episodes, pumps = (4, 4) if request.quick else (training_examples.EPISODES, training_examples.PUMPS)
    return TrainingResult(
        write(
            data.recordings,
            data.digests,
            request.out,
            request.seed,
            request.log,
            episodes,
            pumps,
            1 if request.quick else EPOCHS,
        )
    )


def data_warnings(data: Skab) -> list[str]:
    """Warnings about truncated and altered files, and about labels."""
    files = [f"{file.name}: {file.note}" for file in data.provenance.files if file.state in (PARTIAL, ALTERED)]
    return files + [sentence for recording in data.recordings for sentence in label_warnings(recording)]


def label_warnings(recording: Recording) -> list[str]:
    """Warn if rows that train as normal are labelled anomalous. Labels do not affect the training."""
    labelled = 0 if recording.anomaly is None else int(recording.anomaly[: rig_recordings.BASELINE_ROWS].sum())
    if not labelled:
        return []
    return [
        f"{recording.name}: {labelled} of the {rig_recordings.BASELINE_ROWS} rows that train as normal are "
        "labelled anomalous; labels do not affect "
        "the training; remove the file if its baseline is not normal"
    ]


def write(
    recordings: list[Recording],
    digests: dict[str, str],
    out: Path,
    seed: int,
    log: Callable[[str], None],
    episodes: int = training_examples.EPISODES,
    pumps: int = training_examples.PUMPS,
    epochs: int = EPOCHS,
) -> Path:
    """Train on recordings and simulated pumps and write both bundles below `out`. The same arguments give the same bytes."""
    manifest = manifest_template.manifest()
    examples = training_examples.build(manifest, recordings, seed, log, episodes, pumps)
    log(f"{len(examples.y)} examples, {100 * examples.y.mean():.0f} % with a fault; starting TensorFlow")
    model = network.train(examples.x, examples.y, seed, epochs, log)
    import tensorflow as tf

    sampled = np.random.default_rng(seed).choice(len(examples.x), min(EXAMPLES, len(examples.x)), replace=False)
    log("exporting")
    provenance = {
        "recordings": {name: digests[name] for name in sorted(r.name for r in recordings)},
        "recordings_source": "Skoltech Anomaly Benchmark (SKAB) v0.9, Katser and Kozitsin 2020, GPL-3.0; normal rows only, no labels",
        "simulator": "sensor_ingestion.sources.pump_physics",
        "code": source_digest.digest(__package__, CODE),
        "seed": seed,
        "networks": network.MEMBERS,
        "epochs": epochs,
        "parameters": int(model.count_params()),
        "examples": len(examples.y),
        "tensorflow": tf.__version__,
    }
    for suffix, weights, converted in (
        ("", "int8", tflite_export.to_int8(model, examples.x[sampled])),
        ("-float32", "float32", tflite_export.to_float32(model)),
    ):
        folder = out / f"{manifest_template.NAME}{suffix}"
        bundle = save(folder, manifest_template.manifest({**provenance, "weights": weights}), converted)
        log(f"wrote {folder}: {len(converted)} bytes, SHA-256 {bundle.digest}")
    return out / manifest_template.NAME
