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
from model_training.report import document
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


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    return document.run("kinds", arguments, __doc__, _tables, "name the folder of `edgeml model train regression --out`")


def _tables(folder: Path) -> dict[str, str]:
    found = [name for name in TABLES if (folder / f"{name}-report" / "figures.json").is_file()]
    if not found:
        raise ValueError(f"no report of {' or '.join(TABLES)}")
    return {name: text(folder, name) for name in found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
