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
    """n rows of one file.

    Attributes:
        file: the path as given.
        asset: the asset that the file itself names; empty: none.
        columns: by heading.
        lines: (n,) number of each row's line in the file, from 1.
        rows: (n,) number of each row, from 0.
        row_count: number of rows of the file, used or not.
        units: units that the file itself states, by column.
        notes: sentences for people.
        decimal: the decimal sign.
    """

    file: str
    columns: dict[str, Column]
    lines: np.ndarray
    rows: np.ndarray
    row_count: int
    asset: str = ""
    units: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def name_and_unit(heading: str) -> tuple[str, str]:
    """Split a heading such as `Temperature (°C)` or `temp [degC]`; the unit is empty if there is none."""
    found = _UNIT.fullmatch(heading.strip())
    if found is None or not found[1]:
        return heading.strip(), ""
    return found[1], (found[2] or found[3] or "").strip()
