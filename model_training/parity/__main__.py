"""`edgeml model parity --data DIR --bundle DIR [--arm64 ROOT]`: the same recordings on LiteRT and on tflite-runtime 2.14, and on 64-bit ARM,
compared row by row with LiteRT here."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeml.errors import EdgemlError
from edgeml.model.bundle import Bundle
from edgeml.model.self_test import levels
from model_training.component_path import COMPONENTS, ROOT
from model_training.evaluation import recordings
from model_training.output_paths import check_folder
from model_training.parity.compare import ACROSS, SAME, Bounds, compare
from model_training.parity.environment import LITERT, PLACE, REQUIREMENTS, EnvironmentFault, ready
from model_training.progress import to_stderr

Say = Callable[[str], None]
WANTED = ("litert", "tflite-runtime")


@dataclass(frozen=True)
class Place:
    """Where the recordings are judged.

    Attributes:
        name: of the predictions file.
        python: with a runtime.
        prefix: what runs a command there.
        bounds: how far it may be from here.
    """

    name: str
    engine: str
    machine: str
    python: str
    bounds: Bounds = SAME
    prefix: Sequence[str] = ()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml model parity", description="Compare a bundle on LiteRT and on tflite-runtime 2.14, and on 64-bit ARM."
    )
    made.add_argument("--data", type=Path, required=True, help="folder with <group>/<n>.csv, and anomaly-free/*.csv")
    made.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    made.add_argument("--out", type=Path, help="folder to keep the predictions files in")
    made.add_argument("--arm64", type=Path, metavar="ROOT", help="compare in this root of edgeml dev test-arm64 too; made if absent")
    made.add_argument(
        "--result", type=Path, metavar="FILE", help="file to write the figures to, as JSON, for `python -m model_training.report.parity`"
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 within the bounds, 1 beyond them or when a runtime cannot be asked."""
    given = parser().parse_args(arguments)

    def progress(text: str) -> None:
        to_stderr(f"parity: {text}")

    def say(text: str) -> None:
        print(f"edgeml model parity: {text}", file=sys.stderr, flush=True)

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
    with tempfile.TemporaryDirectory() as scratch:
        out = (given.out or Path(scratch)).absolute()
        out.mkdir(parents=True, exist_ok=True)
        try:
            bundle = Bundle.load(given.bundle)
            return _compare(bundle, given, out, say, progress)
        except (EnvironmentFault, EdgemlError) as fault:
            say(str(fault))
            return 1


def _compare(bundle: Bundle, given: argparse.Namespace, out: Path, say: Say, progress: Say) -> int:
    rows, first, passed = [], None, True
    for place in _places(given, out, progress):
        file = out / f"{place.name}.csv"
        progress(f"judging with {place.engine} on {place.machine}")
        engine = predict(place.python, given.data, given.bundle, file, place.prefix)
        if engine is None:
            return 1
        if engine != place.engine:
            say(f"the runtime was {engine} where {place.engine} is to be compared; install {' or '.join(LITERT[:1] + REQUIREMENTS[:1])}")
            return 1
        if first is None:
            first = file
            continue
        parity = compare(first, file, place.bounds, levels(bundle.manifest))
        passed = passed and parity.passed
        print(f"{given.bundle.name} on {WANTED[0]} ({platform.machine()}) and {engine} ({place.machine}): {parity}", flush=True)
        rows.append({"engine": engine, "machine": place.machine} | parity.plain())
    if given.result:
        manifest = bundle.manifest
        result = {"name": manifest.name, "version": manifest.version, "digest": bundle.digest, "here": platform.machine(), "compared": rows}
        given.result.parent.mkdir(parents=True, exist_ok=True)
        given.result.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if passed else 1


def _places(given: argparse.Namespace, out: Path, say: Say) -> Iterator[Place]:
    """Here first; each environment is made when it is its turn."""
    machine = platform.machine()
    yield Place("here", WANTED[0], machine, sys.executable)
    yield Place("tflite-runtime", WANTED[1], machine, str(ready(say)))
    if given.arm64 is None:
        return
    bound = [word for each in (ROOT, given.data, given.bundle, out) for word in ("--bind", str(each.absolute()))]
    enter = (
        "env",
        f"PYTHONPATH={ROOT / 'libs'}",
        sys.executable,
        "-m",
        "edgeml_cli.verify.arm64.enter",
        str(given.arm64.absolute()),
        *bound,
        "--",
    )
    for engine, requirements in zip(WANTED, (LITERT, REQUIREMENTS), strict=True):
        python = ready(say, PLACE.with_name(f"parity-arm64-{engine}"), requirements=requirements, prefix=enter)
        yield Place(f"arm64-{engine}", engine, "aarch64", str(python), ACROSS, enter)


def predict(python: str, data: Path, bundle: Path, file: Path, prefix: Sequence[str] = ()) -> str | None:
    """Write predictions by `python`'s runtime; its name, or None when it failed, which it has said on standard error."""
    result = file.with_suffix(".json")
    around = f"PYTHONPATH={os.pathsep.join(map(str, (ROOT, ROOT / 'libs', COMPONENTS)))}"
    command = [python, "-m", "model_training.evaluation", "--data", data.absolute(), "--bundle", bundle.absolute(), "--predictions", file]
    done = subprocess.run(
        [*prefix, "env", around, *map(str, command), "--result", str(result), "--no-audits"], stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        return None
    return str(json.loads(result.read_text(encoding="utf-8"))["bundles"][0]["engine"])


if __name__ == "__main__":
    sys.exit(main())
