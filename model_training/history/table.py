"""One table as it was read, before anything is known about its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

_UNIT = re.compile(r"(.*?)\s*(?:\(([^()]{0,40})\)|\[([^\[\]]{0,40})\])")


@dataclass(frozen=True)
class Column:
    """The n cells of one column.

    Attributes:
        texts: the cells as text, where they may be times, names of assets or labels; None: not kept.
        values: (n,) float32, NaN for an empty cell and for text; None: a column of text.
        text_cells: number of cells with text.
        example: line and content of the first cell with text.
    """

    texts: list[str] | None
    values: np.ndarray | None
    text_cells: int = 0
    example: str = ""


@dataclass(frozen=True)
class Table:
    """n rows of one file, or of the files that continue one another.

    Attributes:
        name: the path as given, for people.
        asset: the asset that the files themselves name; empty: none.
        columns: by heading.
        lines: (n,) number of each row's line in its file, from 1.
        rows: (n,) number of each row in its file, from 0.
        files: the files, each with its number of rows, used or not.
        file_of: (n,) index in `files` of each row's file.
        units: units that the files themselves state, by column.
        notes: sentences for people.
    """

    name: str
    columns: dict[str, Column]
    lines: np.ndarray
    rows: np.ndarray
    files: tuple[tuple[str, int], ...]
    file_of: np.ndarray
    asset: str = ""
    units: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def of_file(
    file: str,
    columns: dict[str, Column],
    rows: int,
    asset: str = "",
    units: dict[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> Table:
    """A table of all rows of a file without lines."""
    every = np.arange(rows, dtype=np.int64)
    return Table(file, columns, every + 1, every, ((file, rows),), np.zeros(rows, np.int32), asset, units or {}, notes)


def name_and_unit(heading: str) -> tuple[str, str]:
    """Split a heading such as `Temperature (°C)` or `temp [degC]`; the unit is empty if there is none."""
    found = _UNIT.fullmatch(heading.strip())
    if found is None or not found[1]:
        return heading.strip(), ""
    return found[1], (found[2] or found[3] or "").strip()
