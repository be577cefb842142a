"""Trains one kind of model: `python -m model_training.train NAME [--from DIR] [--out DIR] [--seed N] [--quick]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from edgeml.errors import EdgemlError
from model_training import kinds
from model_training.request import Request, TrainingError

OUT = Path(__file__).parents[1] / "build" / "models"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    listed = "; ".join(f"{name}: {kind.what}" for name, kind in kinds.KINDS.items())
    parser = argparse.ArgumentParser(prog="scripts/train", description="Train a model and write its bundle.")
    parser.add_argument("name", metavar="NAME", help=listed)
    parser.add_argument("--from", dest="folder", type=Path, help="folder with the data; without it they are fetched by address")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write the bundles and the report to (default: build/models)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a short run that shows that everything works; its model is no good")
    return parser.parse_args(arguments)


def main() -> None:
    given = parse()
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    try:
        written = kinds.find(given.name).train(Request(given.folder, given.out, given.seed, given.quick, say))
    except (TrainingError, EdgemlError) as fault:
        sys.exit(f"train: {fault}")
    say(f"done: {written}")


if __name__ == "__main__":
    main()
