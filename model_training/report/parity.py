"""`python -m model_training.report.parity RUN.json [FILE.md]`: the README's table of runtimes and architectures.

RUN.json is the result of `edgeml model parity --result`. With FILE.md, the table replaces the text between
`<!-- parity: begin -->` and `<!-- parity: end -->` in it. Otherwise it is printed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from model_training.report.kinds import replace
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
    if len(arguments) not in (1, 2):
        print(__doc__)
        return 2
    try:
        table = text(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
        if len(arguments) == 1:
            print(table)
            return 0
        document = Path(arguments[1])
        document.write_text(replace(document.read_text(encoding="utf-8"), NAME, table), encoding="utf-8")
    except (OSError, ValueError, KeyError) as fault:
        print(f"parity: {' and '.join(arguments)}: {fault!s}; name the result of edgeml model parity", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
