"""`python -m model_training.comparison --data DIR [--json FILE] [--document FILE.md]`: see `--help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from model_training.comparison import methods, outcome, public_sets, report, results
from model_training.comparison.results import Results
from model_training.machine.budget import DEFAULT, Budget
from model_training.output_paths import check_file
from model_training.progress import to_stderr
from model_training.report import document
from model_training.training_request import TrainingError

PROGRAM = "python -m model_training.comparison"


def main(arguments: list[str] | None = None) -> int:
    """Compare and return the exit status: 0, or 1 with one sentence."""
    options = parser().parse_args(arguments)
    started = time.monotonic()

    def log(text: str) -> None:
        to_stderr(f"comparison: [{time.monotonic() - started:5.1f} s] {text}")

    problem = next(filter(None, (check_file(path) for path in (options.json, options.document) if path)), "")
    if problem:
        print(f"{PROGRAM}: {problem}", file=sys.stderr)
        return 1
    try:
        earlier = results.read(options.others) if options.others else None
        found = compare(options.data, options.budget, options.method or list(methods.METHODS), options.seed, log)
        if earlier is not None:
            found = found.missing(list(methods.METHODS), earlier)
        tables = report.text(found)
        print(tables)
        if options.json:
            results.write(options.json, found)
        if options.document:
            before = options.document.read_text(encoding="utf-8")
            options.document.write_text(document.replace(before, report.NAME, tables), encoding="utf-8")
    except ModuleNotFoundError as fault:
        print(f"{PROGRAM}: {fault.name} is not installed; run `scripts/env train`, then this again", file=sys.stderr)
        return 1
    except TrainingError as fault:
        print(f"{PROGRAM}: {fault}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as fault:
        print(f"{PROGRAM}: {options.document or options.json}: {fault}", file=sys.stderr)
        return 1
    return 0


def compare(data: Path, budget: str, names: list[str], seed: int, log: Callable[[str], None]) -> Results:
    """Train and measure each method on each machine.

    Raises:
        TrainingError: the budget or the data cannot be used.
    """
    allowed = Budget.parse(budget)
    sets: dict[str, dict[str, dict[str, outcome.Outcome]]] = {}
    for set_name, cases in public_sets.load(data).items():
        by_method = sets.setdefault(set_name, {name: {} for name in names})
        for case in cases:
            steps = outcome.place_steps(case, seed)
            for name in names:
                log(f"{set_name}, {case.name}: {name}")
                detector = methods.METHODS[name](case.history, allowed, seed)
                by_method[name][case.name] = outcome.measure(detector, case, steps)
    return Results(budget, seed, sets)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Compare the method of `edgeml model train machine` with others, all at the same false-alarm budget.",
        allow_abbrev=False,
    )
    folders = ", ".join(f"{name}/" for name in public_sets.SETS)
    result.add_argument("--data", type=Path, required=True, help=f"folder with one or more of {folders}")
    result.add_argument("--budget", default=DEFAULT, help="false alarms of each machine, such as `1 per week` (the default)")
    result.add_argument("--method", action="append", choices=list(methods.METHODS), help="a method; may be repeated; all by default")
    result.add_argument("--others", type=Path, metavar="FILE", help="earlier --json file with the results of the methods that do not run")
    result.add_argument("--seed", type=int, default=1, help="seed of the trained methods and of the injected steps")
    result.add_argument("--json", type=Path, metavar="FILE", help="file for the results, as JSON")
    result.add_argument(
        "--document",
        type=Path,
        metavar="FILE.md",
        help=f"document in which the tables replace the text between the markers `{report.NAME}`",
    )
    return result


if __name__ == "__main__":
    sys.exit(main())
