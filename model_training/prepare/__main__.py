"""`edgeml data list|fetch|prepare`: download public data sets, and prepare versioned data sets from captured files and CSVs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgeml.errors import OptionsError
from model_training.datasets import DATASETS, DatasetError
from model_training.datasets.fetch import fetch
from model_training.prepare.pipeline import prepare_dataset
from model_training.prepare.plan import load_plan
from model_training.prepare.rows import PrepareError
from model_training.progress import to_stderr

OUT = Path("build/data")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return the exit status."""
    options = parser().parse_args(arguments)
    try:
        {"list": _list, "fetch": _fetch, "prepare": _prepare}[options.command](options)
    except OptionsError as fault:
        for sentence in fault.faults:
            _fail(options, f"{options.plan}: {sentence}")
        return 1
    except (DatasetError, PrepareError) as fault:
        _fail(options, str(fault))
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="edgeml data", description=__doc__)
    commands = result.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the public data sets")
    get = commands.add_parser("fetch", help="download a public data set and verify it")
    get.add_argument("name", help=f"one of {', '.join(DATASETS)}")
    get.add_argument("--from", dest="source", type=Path, help="folder with the files, instead of the address")
    get.add_argument("--address", default="", help="another address with the same files, such as a mirror")
    get.add_argument("--out", type=Path, default=OUT, help=f"output folder; the files are stored in OUT/NAME (default: {OUT})")
    make = commands.add_parser("prepare", help="clean and resample captured files and CSVs to versioned Parquet with a data card")
    make.add_argument("places", nargs="+", metavar="PLACE", help="a file, a folder, or s3://bucket/prefix")
    make.add_argument("--plan", type=Path, required=True, help="YAML file with the plan; see model_training/README.md")
    make.add_argument("--out", type=Path, default=OUT, help=f"output folder; the data are stored in OUT/<name>/<version> (default: {OUT})")
    return result


def _list(options: argparse.Namespace) -> None:
    for name, dataset in DATASETS.items():
        sys.stdout.write(f"{name}: {dataset.title}\n  {dataset.base}{dataset.archive}\n  {dataset.licence}; {dataset.citation}\n")
        known = sum(bool(file.sha256) for file in dataset.files)
        sys.stdout.write(f"  {len(dataset.files)} files, {known} with a known digest\n")


def _fetch(options: argparse.Namespace) -> None:
    provenance = fetch(options.name, options.out, options.source, options.address, _log)
    for note in provenance.notes:
        _log(note)
    sys.stdout.write(f"{options.out / options.name}\n")


def _prepare(options: argparse.Namespace) -> None:
    sys.stdout.write(f"{prepare_dataset(load_plan(options.plan), options.places, options.out, log=_log).folder}\n")


def _log(line: str) -> None:
    to_stderr(f"prepare: {line}")


def _fail(options: argparse.Namespace, sentence: str) -> None:
    print(f"edgeml data {options.command}: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
