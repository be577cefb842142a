"""Tables between two markers of a Markdown document: how the modules of this package that write into a README run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def replace(document: str, name: str, text: str) -> str:
    """Replace the text between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Raises:
        ValueError: a marker is missing.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, after = document.partition(begin)
    if not found or end not in after:
        raise ValueError(f"no line {begin} before a line {end}; add both where the tables belong")
    return f"{before}{begin}\n{text}\n{end}{after.partition(end)[2]}"


def run(name: str, arguments: list[str], usage: str | None, tables: Callable[[Path], Mapping[str, str]], remedy: str) -> int:
    """Print the tables of a result, or write them into a document. Returns the exit status.

    Args:
        name: of the module, for errors.
        arguments: the path of the result and, optionally, of the document.
        tables: text by the name of its markers.
        remedy: end of an error message.
    """
    if len(arguments) not in (1, 2):
        print(usage)
        return 2
    try:
        texts = tables(Path(arguments[0]))
        if len(arguments) == 1:
            print("\n\n".join(texts.values()))
            return 0
        document = Path(arguments[1])
        changed = document.read_text(encoding="utf-8")
        for marker, text in texts.items():
            changed = replace(changed, marker, text)
        document.write_text(changed, encoding="utf-8")
    except (OSError, ValueError, KeyError) as fault:
        print(f"{name}: {' and '.join(arguments)}: {fault!s}; {remedy}", file=sys.stderr)
        return 1
    return 0
