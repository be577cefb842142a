"""Finds the files of a history, and reads each by its content."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from model_training.bounded_decompression import DecompressionLimitError, gunzip
from model_training.history import column_kinds, parquet_table, time_column
from model_training.history.csv_table import read_csv
from model_training.history.records import HistoryError
from model_training.history.spec import Spec
from model_training.history.table import Table
from model_training.natural_order import natural

ZIP = b"PK\x03\x04"
ENDINGS = (".csv", ".tsv", ".gz", ".part", ".parquet", ".pq")
"""Names of files with tables in a folder; a file that is named itself may have any ending."""


def tables(paths: Sequence[Path], spec: Spec) -> list[Table]:
    """Read the tables of files and folders.

    Raises:
        HistoryError: a path does not exist, a folder holds no tables, or a file is no table.
    """
    from model_training.history import captured_table  # its plans need YAML, which environments of `edgeml model parity` lack

    found: list[Table] = []
    for path in paths:
        if path.is_dir() and (prepared := sorted(card.parent for card in path.rglob(captured_table.CARD))):
            if len(prepared) > 1:
                raise HistoryError(f"{path} has {len(prepared)} prepared data sets, such as {prepared[0]}; name one of them")
            found += captured_table.read_prepared(prepared[0])
            continue
        captured: list[Table] = []
        for file in _files(path):
            content = _content(file)
            if captured_table.is_captured(content):
                captured += captured_table.read_captured(str(file), content)
            else:
                found.append(_table(file, content, spec))
        found += captured_table.continued(str(path), captured)
    return found


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted((each for each in path.rglob("*") if each.name.lower().endswith(ENDINGS)), key=lambda each: natural(str(each)))
    if not found:
        raise HistoryError(f"{path} has no files that end in {', '.join(ENDINGS)}; name a file, or the folder with the tables")
    return found


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gunzip(content) if content.startswith(b"\x1f\x8b") else content
    except DecompressionLimitError as fault:
        raise HistoryError(f"{path} {fault}; split it into several files") from None
    except (EOFError, zlib.error) as fault:
        raise HistoryError(f"{path} is not a complete gzip file ({fault}); copy it again") from None
    except OSError as fault:
        reason = fault.strerror or f"not a complete gzip file, {fault}"
        raise HistoryError(f"{path} cannot be read ({reason}); name a file or folder that exists") from None


def _table(path: Path, content: bytes, spec: Spec) -> Table:
    own = (spec.asset_column, spec.labels.column, spec.time.column, *spec.time.column.split(time_column.PAIR))

    def keep(heading: str, cells: list[str]) -> bool:
        return heading in own or column_kinds.is_label_name(heading) or time_column.may_be_time(cells)

    if content.startswith(ZIP):
        raise HistoryError(f"{path} is a spreadsheet or an archive; save the sheet as CSV, or unpack the file")
    if content.startswith(parquet_table.MAGIC):
        return parquet_table.read_parquet(path, keep)
    return read_csv(str(path), content, keep, spec.delimiter, spec.decimal)
