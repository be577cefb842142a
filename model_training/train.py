"""Train one kind of model: `edgeml model train NAME [OPTION...]`. Each kind declares its options.

The last line of standard output is one JSON object: `bundle` is the folder of the bundle, and the rest are its main figures.

This file is also the entry point of a SageMaker training container. There NAME is the hyperparameter `kind`, the data come from the
channel `training`, and the bundles go to `SM_MODEL_DIR`; see `model_training.training_container`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__" and __package__ in (None, ""):
    # Started as a script, as in a container: the modules beside it are not top-level modules.
    sys.path[:] = [str(ROOT), str(ROOT / "libs"), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "model_training")]

from edgeml.errors import EdgemlError  # noqa: E402
from edgeml.model.signature import make_key, private_key, sign  # noqa: E402
from model_training import golden_samples, model_kinds  # noqa: E402
from model_training.datasets.provenance import DatasetError  # noqa: E402
from model_training.output_paths import check_folder  # noqa: E402
from model_training.training_container import Container  # noqa: E402
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult  # noqa: E402

OUT = ROOT / "build" / "models"
OWN_KEY = ROOT / "build" / "keys" / "bundle.key"

VERSION = re.compile(r"(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}", re.ASCII)

FLAGS = ("--quick", "--run-to-failure")
"""Options without a value, to which a container adds one."""

EXPECTED_ERRORS = (TrainingError, EdgemlError, DatasetError)
"""Errors whose text is one sentence for the user."""


class UsageError(TrainingError):
    """The command line is wrong."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see --help")


def parser() -> argparse.ArgumentParser:
    """Parser of the command line and of the hyperparameters of a container: a parser for each kind."""
    result = Parser(prog="edgeml model train", description="Train a model and write its bundles.", allow_abbrev=False)
    kinds = result.add_subparsers(dest="kind", metavar="NAME", required=True, parser_class=Parser)
    for name, kind in model_kinds.KINDS.items():
        own = kinds.add_parser(name, help=kind.what, description=f"Train a model: {kind.what}.", allow_abbrev=False)
        kind.add_options(own)
        own.add_argument("--out", type=Path, help="output folder for bundles and report (default: build/models)")
        own.add_argument("--seed", type=int, default=1)
        own.add_argument("--version", help="version of the model, such as 2.0.0 (default: the version in its manifest template)")
        own.add_argument("--quick", action="store_true", help="a short run to verify the setup; its model is not usable")
        own.add_argument("--key", type=Path, help="private key from edgeml model keygen, to sign the bundles")
        own.add_argument("--model_dir", help=argparse.SUPPRESS)  # added by the TensorFlow container
    return result


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the options.

    Raises:
        UsageError: an argument is unknown, missing or invalid.
        TrainingError: the kind of model is unknown.
    """
    command_line = parser()
    words = flags(name_first(arguments))
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        command_line.error(f"NAME is missing; choose one of {', '.join(model_kinds.KINDS)}")
    if not words[0].startswith("-"):
        model_kinds.find(words[0])
    options = command_line.parse_args(words)
    if options.version and not VERSION.fullmatch(options.version):
        command_line.error(f"--version {options.version} is not a version; write three numbers, such as 2.0.0")
    if not 0 <= options.seed < 2**32:
        command_line.error(f"--seed {str(options.seed)[:40]} is not an integer from 0 to {2**32 - 1}")
    return options


def name_first(arguments: Sequence[str]) -> list[str]:
    """Move the kind to the front, from the hyperparameter `--kind NAME` of a container or from any word after its hyperparameters."""
    rest, kind = list(arguments), None
    while "--kind" in rest[:-1]:
        at = rest.index("--kind")
        kind = rest[at + 1]
        del rest[at : at + 2]
    return [kind, *rest] if kind is not None and (not rest or rest[0].startswith("-")) else rest


def flags(arguments: Sequence[str]) -> list[str]:
    """Convert `--quick True`, which containers pass, to `--quick`."""
    result: list[str] = []
    for argument in arguments:
        if result and result[-1] in FLAGS and argument.lower() in ("true", "1"):
            continue
        if result and result[-1] in FLAGS and argument.lower() in ("false", "0"):
            result.pop()
            continue
        result.append(argument)
    return result


def run(arguments: Sequence[str], container: Container | None) -> TrainingResult:
    """Train, complete the bundles with golden windows and a signature, and print the result as one JSON object.

    Raises:
        TrainingError, EdgemlError, DatasetError: one sentence for the user.
    """
    name = [word for word in arguments[:1] if not word.startswith("-")]
    options = parse([*name, *(container.arguments() if container else ()), *arguments[len(name) :]])
    started = time.monotonic()

    def log(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)

    kind = model_kinds.find(options.kind)
    key = _signing_key(options.key, kind.signs, log)  # before the training, to fail early
    data = getattr(options, "folder", None) or (container.data() if container else None)
    out = options.out or (container.model if container else OUT)
    if problem := check_folder(out):
        raise TrainingError(problem)
    result = kind.train(TrainingRequest(data, out, options.seed, options.quick, log, options))
    for folder in (result.bundle, result.bundle.with_name(f"{result.bundle.name}-float32")):
        if folder.is_dir():
            if options.version:
                golden_samples.rename(folder, options.version)
            golden_samples.write(folder)
            if key is not None:
                sign(folder, key)
                log(f"signed {folder}")
    if container:
        container.move_reports(out)
    figures = {"bundle": str(result.bundle), "signed": key is not None, **result.figures}
    if result.complete is not None and key is not None:
        figures |= result.complete(result.bundle)
    print(json.dumps(figures), flush=True)
    return result


def _signing_key(path: Path | None, signs: bool, log: Callable[[str], None]) -> Ed25519PrivateKey | None:
    """The key of `--key`; for a kind that always signs the user's own key, which is made on first use; else None."""
    if path is None and signs:
        path = OWN_KEY
        if not path.exists():
            make_key(path)
            log(f"made a key pair that signs your bundles: {path}; keep it, devices trust its public key")
    return private_key(path) if path else None


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
