"""Tables in Parquet. pyarrow is imported on first use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from model_training.history.csv_table import HEAD_ROWS, Collector, Keep
from model_training.history.records import HistoryError
from model_training.history.table import Column, Table, of_file

MAGIC = b"PAR1"


def read_parquet(path: Path, keep: Keep) -> Table:
    """Read a Parquet file.

    Raises:
        HistoryError: it is damaged, has no rows, or pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise HistoryError(f"{path} is a Parquet file, which needs pyarrow; run: pip install pyarrow, or save it as CSV") from None
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (OSError, pyarrow.ArrowException) as fault:
        raise HistoryError(f"{path} cannot be read ({' '.join(str(fault).split())}); copy the file again") from None
    if not len(table):
        raise HistoryError(f"{path} has no rows; remove the file or copy it again")
    if len(set(table.column_names)) < len(table.column_names):
        raise HistoryError(f"{path} has two columns of the same name; rename one of them")
    columns = {name: _column(pyarrow, name, table.column(name), keep) for name in table.column_names}
    return of_file(str(path), columns, len(table))


def _column(pa: Any, name: str, cells: Any, keep: Keep) -> Column:
    kind = cells.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return Column(_times(pa, cells), None)
    if pa.types.is_boolean(kind):
        cells, kind = cells.cast(pa.uint8()), pa.uint8()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = cells.cast(pa.float64()).to_numpy().astype(np.float32)
        values[np.isinf(values)] = np.nan
        kept = keep(name, ["" if cell is None else str(cell) for cell in cells[:HEAD_ROWS].to_pylist()])
        return Column(["" if cell is None else str(cell) for cell in cells.to_pylist()] if kept else None, values)
    if pa.types.is_dictionary(kind):
        cells = cells.cast(kind.value_type)
    try:
        texts = tuple("" if cell is None else str(cell) for cell in cells.to_pylist())
    except (ValueError, pa.ArrowException):
        texts = ("?",) * len(cells)
    collector = Collector(name, list(texts[:HEAD_ROWS]), keep)
    collector.add(texts, ".")
    return collector.column(range(1, len(texts) + 1), "row")


def _times(pa: Any, cells: Any) -> list[str]:
    """Times as ISO 8601 text, with a zone if the column has one."""
    zone = "Z" if pa.types.is_timestamp(cells.type) and cells.type.tz else ""
    times = cells.cast(pa.timestamp("ns", cells.type.tz) if pa.types.is_timestamp(cells.type) else pa.timestamp("ns")).to_numpy()
    return ["" if text == "NaT" else text + zone for text in np.datetime_as_string(times.astype("datetime64[ns]"), "ns").tolist()]
