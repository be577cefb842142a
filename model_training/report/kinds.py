"""`python -m model_training.report.kinds DIR [FILE.md]`: the README's tables of regression and classification.

DIR holds the reports that training wrote (its option `--out`), or a folder for each of several seeds. With FILE.md, the tables replace the
text between `<!-- NAME: begin -->` and `<!-- NAME: end -->` in it. Otherwise they are printed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from model_training.report import document
from model_training.report.model_card import markdown
from model_training.tables.summary import class_table, summary


def text(runs: list[dict[str, Any]]) -> str:
    """Tables of one model, trained with one seed or several."""
    first = runs[0]
    data = "partial" if first["data"]["partial"] else "complete"
    seeds = f"Seed{'s' if len(runs) > 1 else ''} {', '.join(str(run['seed']) for run in runs)}"
    digest = f" (`{first['data']['sha256'][:16]}…`)" if "sha256" in first["data"] else ""
    bundles = ", ".join(f"`{run['bundles'][run['shipped']]['sha256'][:16]}…`" for run in runs)
    parts = [f"{seeds}; {first['shipped']} {bundles}; data {data}{digest}.", markdown(summary(runs))]
    if "interval" in first:
        parts.append(_intervals(runs))
    if first["kind"] == "classification":
        parts.append(markdown(class_table(first)))
    return "\n\n".join(parts)


def _intervals(runs: list[dict[str, Any]]) -> str:
    intervals = [run["interval"] for run in runs]
    rows = [("seed", "stated coverage", "held-out", "test rows", "mean width")]
    for run, each in zip(runs, intervals, strict=True):
        test = f"{each['test']:.1%}" if "test" in each else "-"
        rows.append((str(run["seed"]), f"{each['stated']:.0%}", f"{each['held_out']:.1%}", test, f"{each['mean_width']:.1f}"))
    return markdown(rows)


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    return document.run("kinds", arguments, __doc__, _tables, "name the folder of `edgeml model train regression --out`")


def _tables(folder: Path) -> dict[str, str]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((*folder.glob("*-report/figures.json"), *folder.glob("*/*-report/figures.json"))):
        figures = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(figures["name"], []).append(figures)
    if not found:
        raise ValueError("no report of a regression or classification")
    return {name: text(sorted(runs, key=lambda run: int(run["seed"]))) for name, runs in found.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
