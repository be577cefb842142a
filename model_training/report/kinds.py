"""`python -m model_training.report.kinds DIR [FILE.md]`: the README's tables of regression and classification.

DIR holds the reports that training wrote (its option `--out`). With FILE.md, the tables replace the text between
`<!-- NAME: begin -->` and `<!-- NAME: end -->` in it. Otherwise they are printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_training.classification import manifest_template as failure
from model_training.classification import report as failure_report
from model_training.regression import manifest_template as life
from model_training.regression import report as life_report
from model_training.report.model_card import markdown


def _life(figures: dict[str, Any]) -> str:
    return markdown(life_report.table(figures))


def _failure(figures: dict[str, Any]) -> str:
    return f"{markdown(failure_report.table(figures))}\n\n{markdown(failure_report.types(figures))}"


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {life.NAME: _life, failure.NAME: _failure}
"""By model name, the function that renders the tables from `figures.json`."""


def text(folder: Path, name: str) -> str:
    """Tables of one model, with seed, bundle and data."""
    figures = json.loads((folder / f"{name}-report" / "figures.json").read_text(encoding="utf-8"))
    bundle = figures["bundles" if "bundles" in figures else "test"]["int8"]["sha256"]
    data = "partial" if figures["data"]["partial"] else "complete"
    of = f"Seed {figures['seed']}, int8 bundle `{bundle[:16]}…`, data {data} (`{figures['data']['sha256'][:16]}…`)."
    return f"{of}\n\n{TABLES[name](figures)}"


def replace(document: str, name: str, tables: str) -> str:
    """Replace the text between the model's two markers.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in document or end not in document.partition(begin)[2]:
        raise ValueError(f"no line {begin} before a line {end}; add both where the tables belong")
    before, _, after = document.partition(begin)
    return f"{before}{begin}\n{tables}\n{end}{after.partition(end)[2]}"


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if len(arguments) not in (1, 2):
        print(__doc__)
        return 2
    folder = Path(arguments[0])
    try:
        found = [name for name in TABLES if (folder / f"{name}-report" / "figures.json").is_file()]
        if not found:
            raise ValueError(f"no report of {', '.join(TABLES)}; train a model: edgeml model train regression --out {folder}")
        tables = {name: text(folder, name) for name in found}
        if len(arguments) == 1:
            print("\n\n".join(tables.values()))
            return 0
        document = Path(arguments[1])
        changed = document.read_text(encoding="utf-8")
        for name, each in tables.items():
            changed = replace(changed, name, each)
        document.write_text(changed, encoding="utf-8")
    except (OSError, ValueError, KeyError) as fault:
        print(f"kinds: {' and '.join(arguments)}: {fault!s}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
