"""Train one kind of model: `edgeml model train NAME [--from DIR] [--out DIR] [--seed N] [--version V] [--quick] [--key FILE]`.

This file is also the entry point of a SageMaker training container. There NAME is the hyperparameter `kind`, the data come from the
channel `training`, and the bundles go to `SM_MODEL_DIR`; see `model_training.training_container`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__" and __package__ in (None, ""):
    # Started as a script, as in a container: the modules beside it are not top-level modules.
    sys.path[:] = [str(ROOT), str(ROOT / "libs"), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "model_training")]

from edgeml.errors import EdgemlError  # noqa: E402
from edgeml.model.signature import private_key, sign  # noqa: E402
from model_training import golden_samples, model_kinds  # noqa: E402
from model_training.datasets.provenance import DatasetError  # noqa: E402
from model_training.output_paths import check_folder  # noqa: E402
from model_training.training_container import Container  # noqa: E402
from model_training.training_request import TrainingError, TrainingRequest  # noqa: E402

OUT = ROOT / "build" / "models"

VERSION = re.compile(r"(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}", re.ASCII)

EXPECTED_ERRORS = (TrainingError, EdgemlError, DatasetError)
"""Errors whose text is one sentence for the user."""


class UsageError(TrainingError):
    """The command line is wrong."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def parser() -> argparse.ArgumentParser:
    """Parser of the command line and of the hyperparameters of a container."""
    listed = "; ".join(f"{name}: {kind.what}" for name, kind in model_kinds.KINDS.items())
    result = Parser(prog="edgeml model train", description="Train a model and write its bundles.", allow_abbrev=False)
    result.add_argument("name", metavar="NAME", nargs="?", help=listed)
    result.add_argument(
        "--from", dest="folder", type=Path, help="folder with the data (default: regression and classification download theirs)"
    )
    result.add_argument("--out", type=Path, help="output folder for bundles and report (default: build/models)")
    result.add_argument("--seed", type=int, default=1)
    result.add_argument("--version", help="version of the model, such as 2.0.0 (default: the version in its manifest template)")
    result.add_argument("--quick", action="store_true", help="a short run to verify the setup; its model is not usable")
    result.add_argument("--key", type=Path, help="private key from edgeml model keygen, to sign the bundles")
    result.add_argument("--kind", help=argparse.SUPPRESS)
    result.add_argument("--model_dir", help=argparse.SUPPRESS)  # added by the TensorFlow container
    return result


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the options.

    Raises:
        UsageError: an argument is unknown, missing or invalid.
    """
    command_line = parser()
    options = command_line.parse_args(flags(arguments))
    options.name = options.name or options.kind
    if options.version and not VERSION.fullmatch(options.version):
        command_line.error(f"--version {options.version} is not a version; write three numbers, such as 2.0.0")
    if not 0 <= options.seed < 2**32:
        command_line.error(f"--seed {str(options.seed)[:40]} is not an integer from 0 to {2**32 - 1}")
    if not options.name:
        command_line.error(f"NAME is missing; choose one of {', '.join(model_kinds.KINDS)}")
    return options


def flags(arguments: Sequence[str]) -> list[str]:
    """Convert `--quick True`, which containers pass, to `--quick`."""
    result: list[str] = []
    for argument in arguments:
        if result and result[-1] == "--quick" and argument.lower() in ("true", "1"):
            continue
        if result and result[-1] == "--quick" and argument.lower() in ("false", "0"):
            result.pop()
            continue
        result.append(argument)
    return result


def run(arguments: Sequence[str], container: Container | None) -> Path:
    """Train and return the folder of the int8 bundle.

    Raises:
        TrainingError, EdgemlError, DatasetError: one sentence for the user.
    """
    options = parse([*(container.arguments() if container else ()), *arguments])
    started = time.monotonic()

    def log(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)

    kind = model_kinds.find(options.name)
    key = private_key(options.key) if options.key else None  # before the training, to fail early
    data = options.folder or (container.data() if container else None)
    out = options.out or (container.model if container else OUT)
    if problem := check_folder(out):
        raise TrainingError(problem)
    bundle_folder = kind.train(TrainingRequest(data, out, options.seed, options.quick, log))
    for folder in (bundle_folder, bundle_folder.with_name(f"{bundle_folder.name}-float32")):
        if folder.is_dir():
            if options.version:
                golden_samples.rename(folder, options.version)
            golden_samples.write(folder)
            if key is not None:
                sign(folder, key)
                log(f"signed {folder}")
    if container:
        container.move_reports(out)
    log(f"done: {bundle_folder}")
    return bundle_folder


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Train and return the exit status: 0, 1 after a failure, 2 for a wrong command line (in a container: 1)."""
    container = Container.detect(environ)
    try:
        run(sys.argv[1:] if arguments is None else arguments, container)
    except Exception as fault:
        if not isinstance(fault, EXPECTED_ERRORS):
            traceback.print_exc()
        reason = str(fault) if isinstance(fault, EXPECTED_ERRORS) else f"{type(fault).__name__}: {fault}"
        print(f"edgeml model train: {reason}", file=sys.stderr, flush=True)
        if container:
            container.write_failure(reason)
        return 2 if isinstance(fault, UsageError) and not container else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
