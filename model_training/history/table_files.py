"""Finds the files of a history, and reads each by its content."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_training.bounded_decompression import DecompressionLimitError, gunzip
from model_training.history import column_kinds, time_column
from model_training.history.csv_table import read_csv
from model_training.history.records import HistoryError
from model_training.history.spec import Spec
from model_training.history.table import Table
from model_training.natural_order import natural

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
"""Names of files with tables in a folder; a file that is named itself may have any ending."""


def tables(paths: Sequence[Path], spec: Spec) -> Iterator[Table]:
    """Read the tables of files and folders.

    Raises:
        HistoryError: a path does not exist, a folder holds no tables, or a file is no table.
    """
    for path in paths:
        for file in _files(path):
            yield _table(file, spec)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted((each for each in path.rglob("*") if each.name.lower().endswith(ENDINGS)), key=lambda each: natural(str(each)))
    if not found:
        raise HistoryError(f"{path} has no files that end in {', '.join(ENDINGS)}; name a file, or the folder with the tables")
    return found


def _table(path: Path, spec: Spec) -> Table:
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gunzip(content)
    except DecompressionLimitError as fault:
        raise HistoryError(f"{path} {fault}; split it into several files") from None
    except (EOFError, zlib.error) as fault:
        raise HistoryError(f"{path} is not a complete gzip file ({fault}); copy it again") from None
    except OSError as fault:
        reason = fault.strerror or f"not a complete gzip file, {fault}"
        raise HistoryError(f"{path} cannot be read ({reason}); name a file or folder that exists") from None

    def keep(heading: str, cells: list[str]) -> bool:
        own = (spec.asset_column, spec.labels.column, spec.time.column, *spec.time.column.split(time_column.PAIR))
        return heading in own or column_kinds.is_label_name(heading) or time_column.may_be_time(cells)

    return read_csv(str(path), content, keep, spec.delimiter, spec.decimal)
