"""Trains one kind of model: `edgeml model train NAME [--from DIR] [--out DIR] [--seed N] [--version V] [--quick] [--key FILE]`.

The same file is the entry point of a SageMaker training container, where NAME is the hyperparameter `kind`, the data are the channel
`training`, and the bundles go to `SM_MODEL_DIR`; see `model_training.training_container`.
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
    # Started as a script, as a container does: the modules beside it are no top-level ones.
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

SENTENCES = (TrainingError, EdgemlError, DatasetError)
"""Errors whose text is one sentence for a person."""


class UsageError(TrainingError):
    """The command line is wrong."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; --help lists what is wanted")


def parser() -> argparse.ArgumentParser:
    """For people, and for the hyperparameters that a container passes."""
    listed = "; ".join(f"{name}: {kind.what}" for name, kind in model_kinds.KINDS.items())
    made = Parser(prog="edgeml model train", description="Train a model and write its bundles.", allow_abbrev=False)
    made.add_argument("name", metavar="NAME", nargs="?", help=listed)
    made.add_argument("--from", dest="folder", type=Path, help="folder with the data; regression and classification fetch theirs without")
    made.add_argument("--out", type=Path, help="folder to write the bundles and the report to (default: build/models)")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--version", help="of the model, as 2.0.0 (default: that of the recipe, which the bundle that ships has)")
    made.add_argument("--quick", action="store_true", help="a short run that shows that everything works; its model is no good")
    made.add_argument("--key", type=Path, help="private key of edgeml model keygen; the bundles are signed with it")
    made.add_argument("--kind", help=argparse.SUPPRESS)
    made.add_argument("--model_dir", help=argparse.SUPPRESS)  # the TensorFlow container passes one that nobody gave
    return made


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options.

    Raises:
        UsageError: an argument is unknown, missing or wrong.
    """
    command_line = parser()
    given = command_line.parse_args(flags(arguments))
    given.name = given.name or given.kind
    if given.version and not VERSION.fullmatch(given.version):
        command_line.error(f"--version {given.version} is no version of a component; write three numbers, as 2.0.0")
    if not 0 <= given.seed < 2**32:
        command_line.error(f"--seed {str(given.seed)[:40]} is not a whole number from 0 to {2**32 - 1}")
    if not given.name:
        command_line.error(f"NAME is missing, one of {', '.join(model_kinds.KINDS)}")
    return given


def flags(arguments: Sequence[str]) -> list[str]:
    """Containers write `--quick True` where people write `--quick`."""
    made: list[str] = []
    for argument in arguments:
        if made and made[-1] == "--quick" and argument.lower() in ("true", "1"):
            continue
        if made and made[-1] == "--quick" and argument.lower() in ("false", "0"):
            made.pop()
            continue
        made.append(argument)
    return made


def run(arguments: Sequence[str], container: Container | None) -> Path:
    """Train; gives the folder of the int8 bundle.

    Raises:
        TrainingError, EdgemlError, DatasetError: one sentence for a person.
    """
    given = parse([*(container.arguments() if container else ()), *arguments])
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    kind = model_kinds.find(given.name)
    key = private_key(given.key) if given.key else None  # before the training, which takes long
    data = given.folder or (container.data() if container else None)
    out = given.out or (container.model if container else OUT)
    if unfit := check_folder(out):
        raise TrainingError(unfit)
    written = kind.train(TrainingRequest(data, out, given.seed, given.quick, say))
    for folder in (written, written.with_name(f"{written.name}-float32")):
        if folder.is_dir():
            if given.version:
                golden_samples.rename(folder, given.version)
            golden_samples.write(folder)
            if key is not None:
                sign(folder, key)
                say(f"signed {folder}")
    if container:
        container.tidy(out)
    say(f"done: {written}")
    return written


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Train; gives the exit code: 0, 1 when it failed, 2 when the command line is wrong (in a container: 1)."""
    container = Container.around(environ)
    try:
        run(sys.argv[1:] if arguments is None else arguments, container)
    except Exception as fault:
        if not isinstance(fault, SENTENCES):
            traceback.print_exc()
        reason = str(fault) if isinstance(fault, SENTENCES) else f"{type(fault).__name__}: {fault}"
        print(f"edgeml model train: {reason}", file=sys.stderr, flush=True)
        if container:
            container.fail(reason)
        return 2 if isinstance(fault, UsageError) and not container else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
