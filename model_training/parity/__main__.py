"""`scripts/parity --data DIR --bundle DIR`: the same recordings on LiteRT and on tflite-runtime 2.14, compared row by row."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from edgeml.bundle import Bundle
from edgeml.errors import EdgemlError
from model_training.evaluation import recordings
from model_training.outputs import check_folder
from model_training.parity.compare import compare
from model_training.parity.environment import EnvironmentFault, ready
from model_training.paths import COMPONENTS, ROOT


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 within the bounds, 1 beyond them or when a runtime cannot be asked."""
    parser = argparse.ArgumentParser(prog="scripts/parity", description="Compare a bundle on LiteRT and on tflite-runtime 2.14.")
    parser.add_argument("--data", type=Path, required=True, help="folder with <group>/<n>.csv, and anomaly-free/*.csv")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--out", type=Path, help="folder to keep both predictions files in")
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        print(f"parity: {text}", file=sys.stderr, flush=True)

    unfit = check_folder(given.out) if given.out else ""
    if unfit:
        say(unfit)
        return 1
    try:
        recordings.find(given.data)
        Bundle.load(given.bundle)
    except EdgemlError as fault:
        say(str(fault))
        return 1
    try:
        other = ready(say)
    except EnvironmentFault as fault:
        say(str(fault))
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        out = given.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        files, engines = [], []
        for name, python in (("here", sys.executable), ("tflite-runtime", str(other))):
            file = out / f"{name}.csv"
            say(f"judging with {python}")
            engine = predict(python, given.data, given.bundle, file)
            if engine is None:
                return 1
            files.append(file)
            engines.append(engine)
        if engines[1] != "tflite-runtime" or engines[0] == engines[1]:
            say(f"the runtimes were {' and '.join(engines)}, where two different ones are to be compared; install ai-edge-litert here")
            return 1
        parity = compare(*files)
    print(f"{given.bundle.name} on {' and '.join(engines)}: {parity}")
    return 0 if parity.passed else 1


def predict(python: str, data: Path, bundle: Path, file: Path) -> str | None:
    """Write predictions by `python`'s runtime; its name, or None when it failed, which it has said on standard error."""
    result = file.with_suffix(".json")
    command = [python, "-m", "model_training.evaluation", "--data", data, "--bundle", bundle, "--predictions", file, "--json", result]
    around = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "libs", COMPONENTS)))}
    done = subprocess.run([*map(str, command), "--no-audits"], env=around, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        return None
    return str(json.loads(result.read_text(encoding="utf-8"))["bundles"][0]["engine"])


if __name__ == "__main__":
    sys.exit(main())
