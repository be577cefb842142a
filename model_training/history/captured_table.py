"""Tables of captured rows, and of the folders that `edgeml data prepare` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeml.messages import IMPLAUSIBLE_TIME
from model_training.history.records import HistoryError
from model_training.history.table import Column, Table, of_file
from model_training.prepare.captured_rows import CAPTURE, MESSAGE, parse_captured, parse_messages
from model_training.prepare.clean import REJECTED_FLAGS
from model_training.prepare.parquet import load_prepared
from model_training.prepare.rows import PrepareError, Rows, Statistics

TIME = "time"
CARD = "card.json"


def is_captured(content: bytes) -> bool:
    """Whether a file holds captured rows, or messages with them."""
    return content.startswith((CAPTURE, MESSAGE))


def read_captured(file: str, content: bytes) -> list[Table]:
    """Read captured rows, a table for each asset.

    Raises:
        HistoryError: the file is no capture.
    """
    statistics = Statistics()
    try:
        if content.startswith(CAPTURE):
            found = [parse_captured(file, content, statistics)]
        else:
            found = _joined(parse_messages(file, content, statistics))
    except PrepareError as fault:
        raise HistoryError(f"{file} {fault}") from None
    notes = tuple(
        f"dropped {count} of {statistics.seen} rows: {reason}, the first in {statistics.examples[reason]}"
        for reason, count in statistics.rows.items()
    )
    tables = [_table(file, rows, notes) for rows in found if len(rows.times)]
    return tables if len(tables) == 1 else [_numbered_by_asset(table) for table in tables]


def read_prepared(folder: Path) -> list[Table]:
    """Read a prepared data set, a table for each asset.

    Raises:
        HistoryError: the folder is damaged.
    """
    try:
        steps = load_prepared(folder)
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (PrepareError, OSError, ValueError) as fault:
        raise HistoryError(str(fault)) from None
    out = []
    for each in steps:
        columns = {channel: Column(None, each.values[:, place]) for place, channel in enumerate(each.channels)}
        described = card.get("assets", {}).get(each.asset, {}).get("channels", {})
        units = {channel: str(about.get("unit", "")) for channel, about in described.items()}
        table = of_file(str(folder), {TIME: _time(each.times), **columns}, len(each.times), each.asset, units)
        out.append(_numbered_by_asset(table))
    return out


def _numbered_by_asset(table: Table) -> Table:
    """Name the asset in the file, because each asset has rows from 0 on."""
    return replace(table, files=tuple((f"{file}#{table.asset}", rows) for file, rows in table.files))


def continued(folder: str, tables: Sequence[Table]) -> list[Table]:
    """Join captured tables of the same asset and channels: each file continues the one before.

    Args:
        folder: the path as given.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Table]] = {}
    for table in tables:
        groups.setdefault((table.asset, tuple(table.columns)), []).append(table)
    return [_join(folder, parts) for parts in groups.values()]


def _join(folder: str, parts: list[Table]) -> Table:
    columns = {}
    for name in parts[0].columns:
        texts: list[str] = []
        values: list[np.ndarray] = []
        for part in parts:
            column = part.columns[name]
            texts += column.texts or []
            values += [] if column.values is None else [column.values]
        columns[name] = Column(texts or None, np.concatenate(values) if values else None)
    return Table(
        folder,
        columns,
        np.concatenate([part.lines for part in parts]),
        np.concatenate([part.rows for part in parts]),
        tuple(file for part in parts for file in part.files),
        np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts]),
        parts[0].asset,
        parts[0].units,
        tuple(f"{part.name}: {note}" for part in parts for note in part.notes),
    )


def _joined(rows: list[Rows]) -> list[Rows]:
    """Chunks of one asset and the same channels as one."""
    groups: dict[tuple[str, tuple[str, ...]], list[Rows]] = {}
    for each in rows:
        groups.setdefault((each.asset, each.channels), []).append(each)
    return [
        parts[0]._replace(
            times=np.concatenate([part.times for part in parts]),
            values=np.concatenate([part.values for part in parts]),
            quality=np.concatenate([part.quality for part in parts]),
        )
        for parts in groups.values()
    ]


def _table(file: str, rows: Rows, notes: tuple[str, ...]) -> Table:
    rejected = np.isin(rows.quality, REJECTED_FLAGS) | np.isinf(rows.values)
    values = np.where(rejected, np.float32(np.nan), rows.values)
    implausible = np.asarray(np.isin(rows.quality, IMPLAUSIBLE_TIME).any(axis=1))
    if rejected.any():
        notes += (f"{int(rejected.sum())} values that the device marked as out of range or stuck count as missing",)
    columns = {channel: Column(None, values[:, place]) for place, channel in enumerate(rows.channels)}
    return of_file(file, {TIME: _time(rows.times, implausible), **columns}, len(rows.times), rows.asset, rows.units, notes)


def _time(times: np.ndarray, implausible: np.ndarray | None = None) -> Column:
    """Times as ISO 8601; a row whose time cannot be true has none."""
    texts = [f"{text}Z" for text in np.datetime_as_string(times.astype("datetime64[ns]"), "ns").tolist()]
    if implausible is not None:
        for at in np.flatnonzero(implausible).tolist():
            texts[at] = ""
    return Column(texts, None)
