"""`python -m model_training.report.parity RUN.json [FILE.md]`: the README's table of runtimes and architectures.

RUN.json is the result of `edgeml model parity --result`. With FILE.md, the table replaces the text between
`<!-- parity: begin -->` and `<!-- parity: end -->` in it. Otherwise it is printed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from model_training.report import document
from model_training.report.model_card import markdown

NAME = "parity"


def text(result: dict[str, Any]) -> str:
    """The table, with model and reference."""
    rows = result["compared"]
    levels = list(rows[0]["level_crossings"]) if rows else []
    sides = f"rows on different sides of {', '.join(levels)}"
    head = ("runtime", "maximum difference of confidence", "99th percentile", "mean", sides, "rows with different alarms")
    lines = [
        (
            f"{row['engine']}, {row['machine']}",
            f"{row['largest']:.4f}",
            f"{row['p99']:.4f}",
            f"{row['mean']:.5f}",
            ", ".join(str(row["level_crossings"][level]) for level in levels),
            str(row["alarms_differing"]),
        )
        for row in rows
    ]
    decided = ", ".join(sorted({str(row["decided"]) for row in rows}))
    of = (
        f"{result['name']} {result['version']}, `{result['digest'][:16]}…`; {decided} decided rows, compared with litert on "
        f"{result['here']}."
    )
    return f"{of}\n\n{markdown([head, *lines])}"


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    return document.run("parity", arguments, __doc__, _tables, "name the result of edgeml model parity")


def _tables(result: Path) -> dict[str, str]:
    return {NAME: text(json.loads(result.read_text(encoding="utf-8")))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
