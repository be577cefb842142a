"""Trains the model and writes its bundle: `python -m model_training.train --from DIR [--out DIR] [--seed N]`."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeml.bundle import save
from model_training import data, dataset, design, export, network
from model_training.evaluate import SHIPPED

EPOCHS = 10
EXAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the pump's anomaly model and write its bundle.")
    parser.add_argument("--from", dest="folder", type=Path, required=True, help="folder with the recordings (skab/…)")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write the bundle to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="write the float32 model instead of the int8 one")
    parser.add_argument("--without", default="", help="comma-separated recordings to leave out, to judge on them")
    given = parser.parse_args()
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    try:
        recordings = data.load_recordings(given.folder)
    except FileNotFoundError as fault:
        sys.exit(str(fault))
    left_out = set(filter(None, given.without.split(",")))
    recordings = [recording for recording in recordings if recording.name not in left_out]
    write(recordings, data.digests(given.folder), given.out, given.seed, given.float32, say)


def write(
    recordings: list[data.Recording], digests: dict[str, str], out: Path, seed: int, float32: bool, say: Callable[[str], None],
    episodes: int = dataset.EPISODES, pumps: int = dataset.PUMPS,
) -> None:
    """Train on recordings and simulated pumps and write a bundle to `out`; the same arguments give the same bytes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    manifest = design.manifest()
    examples = dataset.build(manifest, recordings, seed, say, episodes, pumps)
    say(f"{len(examples.y)} examples, {100 * examples.y.mean():.0f} % with a fault; starting TensorFlow")
    import tensorflow as tf

    model = network.train(examples.x, examples.y, examples.weight, seed, EPOCHS, say)
    picked = np.random.default_rng(seed).choice(len(examples.x), min(EXAMPLES, len(examples.x)), replace=False)
    say("exporting")
    tflite = export.to_float32(model) if float32 else export.to_int8(model, examples.x[picked])
    provenance = {
        "recordings": {name: digests[name] for name in sorted(r.name for r in recordings)},
        "recordings_source": "Skoltech Anomaly Benchmark (SKAB) v0.9, Katser and Kozitsin 2020, GPL-3.0; normal rows only, no labels",
        "simulator": "sensor_ingestion.sources.pump",
        "code": source_digest(),
        "seed": seed, "epochs": EPOCHS, "parameters": int(model.count_params()), "examples": len(examples.y),
        "tensorflow": tf.__version__, "weights": "float32" if float32 else "int8",
    }
    bundle = save(out, design.manifest(provenance), tflite)
    say(f"wrote {out}: {len(tflite)} bytes, SHA-256 {bundle.digest}")


def source_digest() -> str:
    """The SHA-256 of the code that made the model: this package but for its judging, and the simulator's physics."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    code = (path for path in sorted(here.glob("*.py")) if path.name != "evaluate.py")
    for path in (*code, here.parents[0] / "components" / "sensor_ingestion" / "sources" / "pump.py"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
