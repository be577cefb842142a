"""`edgeml model parity --data FILE... --bundle DIR [--arm64 ROOT]`: compare the results of runtimes row by row.

The reference is LiteRT on this machine. It is compared with tflite-runtime 2.14 and, with `--arm64`, with both on 64-bit ARM."""

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
from model_training.evaluation import history_data, recordings
from model_training.history import Spec
from model_training.output_paths import check_folder
from model_training.parity.compare import CROSS_ARCHITECTURE, SAME_ARCHITECTURE, Bounds, compare
from model_training.parity.environment import ENVIRONMENT, LITERT, REQUIREMENTS, EnvironmentSetupError, ensure_environment
from model_training.progress import to_stderr
from model_training.training_request import TrainingError

Log = Callable[[str], None]
RUNTIMES = ("litert", "tflite-runtime")


@dataclass(frozen=True)
class RuntimeTarget:
    """A runtime to evaluate the recordings on.

    Attributes:
        name: name of the predictions file.
        python: interpreter with the runtime.
        bounds: maximum differences to the reference.
        prefix: command prefix that runs a command in the target.
    """

    name: str
    engine: str
    machine: str
    python: str
    bounds: Bounds = SAME_ARCHITECTURE
    prefix: Sequence[str] = ()


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="edgeml model parity", description="Compare a bundle on LiteRT and on tflite-runtime 2.14, and on 64-bit ARM."
    )
    result.add_argument(
        "--data", type=Path, required=True, nargs="+", action="extend", metavar="FILE", help="files, as for edgeml model evaluate"
    )
    result.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    result.add_argument("--out", type=Path, help="folder for the predictions files")
    result.add_argument("--arm64", type=Path, metavar="ROOT", help="compare in this root of edgeml dev test-arm64, too; created if absent")
    result.add_argument(
        "--result", type=Path, metavar="FILE", help="file for the figures, as JSON, for `python -m model_training.report.parity`"
    )
    return result


def main(arguments: list[str] | None = None) -> int:
    """Compare and return the exit status: 0 within the bounds, 1 beyond them or if a runtime is not available."""
    options = parser().parse_args(arguments)

    def progress(text: str) -> None:
        to_stderr(f"parity: {text}")

    def error(text: str) -> None:
        print(f"edgeml model parity: {text}", file=sys.stderr, flush=True)

    problem = check_folder(options.out) if options.out else ""
    if problem:
        error(problem)
        return 1
    try:
        manifest = Bundle.load(options.bundle).manifest
        if recordings.is_layout(options.data, manifest.names):
            recordings.find(options.data[0])
        else:
            history_data.read_for(manifest, options.data, Spec())
    except (EdgemlError, TrainingError) as fault:
        error(str(fault))
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        out = (options.out or Path(scratch)).absolute()
        out.mkdir(parents=True, exist_ok=True)
        try:
            bundle = Bundle.load(options.bundle)
            return _compare(bundle, options, out, error, progress)
        except (EnvironmentSetupError, EdgemlError) as fault:
            error(str(fault))
            return 1


def _compare(bundle: Bundle, options: argparse.Namespace, out: Path, error: Log, progress: Log) -> int:
    rows, first, passed = [], None, True
    for target in _targets(options, out, progress):
        file = out / f"{target.name}.csv"
        progress(f"evaluating with {target.engine} on {target.machine}")
        engine = predict(target.python, options.data, options.bundle, file, target.prefix)
        if engine is None:
            return 1
        if engine != target.engine:
            error(f"the runtime is {engine}, expected {target.engine}; install {' or '.join(LITERT[:1] + REQUIREMENTS[:1])}")
            return 1
        if first is None:
            first = file
            continue
        parity = compare(first, file, target.bounds, levels(bundle.manifest))
        passed = passed and parity.passed
        print(f"{options.bundle.name} on {RUNTIMES[0]} ({platform.machine()}) and {engine} ({target.machine}): {parity}", flush=True)
        rows.append({"engine": engine, "machine": target.machine} | parity.plain())
    if options.result:
        manifest = bundle.manifest
        result = {"name": manifest.name, "version": manifest.version, "digest": bundle.digest, "here": platform.machine(), "compared": rows}
        options.result.parent.mkdir(parents=True, exist_ok=True)
        options.result.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if passed else 1


def _targets(options: argparse.Namespace, out: Path, log: Log) -> Iterator[RuntimeTarget]:
    """Yield the reference first, then the other runtimes. Each environment is created when it is reached."""
    machine = platform.machine()
    yield RuntimeTarget("here", RUNTIMES[0], machine, sys.executable)
    yield RuntimeTarget("tflite-runtime", RUNTIMES[1], machine, str(ensure_environment(log)))
    if options.arm64 is None:
        return
    folders = dict.fromkeys(
        each.absolute() if each.is_dir() else each.absolute().parent for each in (ROOT, *options.data, options.bundle, out)
    )
    bound = [word for each in folders for word in ("--bind", str(each))]
    enter = (
        "env",
        f"PYTHONPATH={ROOT / 'libs'}",
        sys.executable,
        "-m",
        "edgeml_cli.verify.arm64.enter",
        str(options.arm64.absolute()),
        *bound,
        "--",
    )
    for engine, requirements in zip(RUNTIMES, (LITERT, REQUIREMENTS), strict=True):
        python = ensure_environment(log, ENVIRONMENT.with_name(f"parity-arm64-{engine}"), requirements=requirements, prefix=enter)
        yield RuntimeTarget(f"arm64-{engine}", engine, "aarch64", str(python), CROSS_ARCHITECTURE, enter)


def predict(python: str, data: Sequence[Path], bundle: Path, file: Path, prefix: Sequence[str] = ()) -> str | None:
    """Write predictions with `python`'s runtime. Returns the runtime's name, or None after a failure reported on standard error."""
    result = file.with_suffix(".json")
    environment = f"PYTHONPATH={os.pathsep.join(map(str, (ROOT, ROOT / 'libs', COMPONENTS)))}"
    files = [path.absolute() for path in data]
    command = [python, "-m", "model_training.evaluation", "--data", *files, "--bundle", bundle.absolute(), "--predictions", file]
    process = subprocess.run(
        [*prefix, "env", environment, *map(str, command), "--result", str(result), "--no-audits"], stdout=subprocess.DEVNULL, check=False
    )
    if process.returncode:
        return None
    return str(json.loads(result.read_text(encoding="utf-8"))["bundles"][0]["engine"])


if __name__ == "__main__":
    sys.exit(main())
