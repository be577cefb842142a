"""Tables of plain columns from CSV and Parquet files: numbers where every cell is one, text elsewhere."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_training.history.csv_table import HEAD_ROWS, find_decimal, find_delimiter
from model_training.training_request import TrainingError

SUFFIXES = (".csv", ".txt", ".tsv", ".parquet")
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})
SAMPLE_LINES = 50


@dataclass(frozen=True)
class Columns:
    """n rows of one or several files with the same columns.

    Attributes:
        cells: by heading: (n,) float64 with NaN for a missing cell, or (n,) object with text and None for a missing cell.
        places: file and line of each row, for errors.
        digests: SHA-256 by file name.
    """

    cells: dict[str, np.ndarray]
    places: Sequence[str]
    digests: dict[str, str]

    def __len__(self) -> int:
        return len(self.places)

    def is_text(self, heading: str) -> bool:
        return self.cells[heading].dtype == object


def files_in(folder: Path) -> list[Path]:
    """The tables in a folder, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def read(paths: Sequence[Path], headings: Sequence[str] = ()) -> Columns:
    """Read tables below each other.

    Args:
        headings: names of the columns of files without a line of headings; empty: the first line has them.

    Raises:
        TrainingError: a file is unreadable, has no rows, or has other columns than the first one.
    """
    tables = [_read(path, headings) for path in paths]
    if not tables:
        raise TrainingError("no table found; name CSV or Parquet files with --data")
    first = tables[0]
    for path, other in zip(paths, tables, strict=True):
        if absent := [name for name in first.cells if name not in other.cells]:
            raise TrainingError(f"{path} has no column {', '.join(absent)}, which {paths[0]} has; train on tables of the same columns")
    cells = {name: _joined([table.cells[name] for table in tables]) for name in first.cells}
    places = [place for table in tables for place in table.places]
    return Columns(cells, places, {name: digest for table in tables for name, digest in table.digests.items()})


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if all(part.dtype == np.float64 for part in parts):
        return np.concatenate(parts)
    return np.concatenate([part if part.dtype == object else _texts(part) for part in parts])


def _texts(numbers: np.ndarray) -> np.ndarray:
    return np.array([None if np.isnan(value) else f"{value:g}" for value in numbers], object)


def _read(path: Path, headings: Sequence[str]) -> Columns:
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise TrainingError(f"{path} cannot be read ({fault.strerror}); name a file that exists with --data") from None
    digests = {path.name: hashlib.sha256(content).hexdigest()}
    if content[:4] == b"PAR1":
        cells = _parquet(path, content)
        count = len(next(iter(cells.values()), np.empty(0)))
        places: Sequence[str] = _Places(path.name, range(1, count + 1), "row")
    else:
        cells, lines = _csv(path, content, headings)
        places = _Places(path.name, lines, "line")
    if not cells or not len(places):
        raise TrainingError(f"{path} has no rows; copy it again, or leave it out")
    return Columns(cells, places, digests)


class _Places(Sequence[str]):
    """File and line of each row, as text only when it is asked for."""

    def __init__(self, file: str, lines: Sequence[int], unit: str) -> None:
        self._file, self._lines, self._unit = file, lines, unit

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, at: int) -> str:  # type: ignore[override]
        return f"{self._file}, {self._unit} {self._lines[at]}"


def _parquet(path: Path, content: bytes) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise TrainingError(f"{path} is not a Parquet file ({' '.join(str(fault).split())[:120]}); copy it again") from None
    cells = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("ns")).cast(pa.int64())
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
            cells[name] = column.cast(pa.float64()).to_numpy().astype(np.float64)
        else:
            cells[name] = _column([None if value is None else str(value) for value in column.to_pylist()])
    return cells


def _csv(path: Path, content: bytes, headings: Sequence[str]) -> tuple[dict[str, np.ndarray], list[int]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    sample = [line for line in text.splitlines()[:SAMPLE_LINES] if line.strip()]
    delimiter = _delimiter(sample)
    rows: list[Sequence[str]] = []
    lines: list[int] = []
    try:
        for number, row in enumerate(_rows(text, delimiter), 1):
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(number)
    except csv.Error as fault:
        raise TrainingError(f"{path} is not a CSV file ({fault}); copy it again") from None
    if not headings and rows:
        headings, rows, lines = [cell.strip() for cell in rows[0]], rows[1:], lines[1:]
        if all(_number(heading) is not None for heading in headings):
            raise TrainingError(f"{path} has numbers in its first line and no headings; state the `headings` in the spec (--spec)")
    if twice := next((name for at, name in enumerate(headings) if name in headings[:at]), None):
        raise TrainingError(f"{path} has two columns {twice!r}; rename one of them")
    for row, number in zip(rows, lines, strict=True):
        if len(row) != len(headings) and any(cell.strip() for cell in row[len(headings) :]) or len(row) < len(headings):
            raise TrainingError(f"{path}, line {number} has {len(row)} cells instead of {len(headings)}; correct the line")
    comma = find_decimal([list(row) for row in rows[:HEAD_ROWS]]) == ","
    return {name: _column([row[at] for row in rows], comma) for at, name in enumerate(headings)}, lines


def _rows(text: str, delimiter: str) -> Iterable[Sequence[str]]:
    if delimiter == " ":
        return (line.split() for line in text.splitlines())
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _delimiter(sample: list[str]) -> str:
    """The delimiter of the lines; spaces if none of the usual ones splits them."""
    found = find_delimiter(sample)
    return found if any(found in line for line in sample) else " "


def _column(cells: Sequence[str | None], comma: bool = False) -> np.ndarray:
    """Numbers, if every cell is a number or missing; otherwise text."""
    texts = [None if cell is None or cell.strip().lower() in MISSING else cell.strip() for cell in cells]
    plain = [text.replace(",", ".") if text and comma else text for text in texts]
    try:
        return np.array([np.nan if text is None else text for text in plain], object).astype(np.float64)
    except ValueError:
        return np.array(texts, object)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
