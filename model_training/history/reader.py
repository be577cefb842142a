"""Reads files and folders of tables as one history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeml.timestamps import SECOND, to_iso
from model_training.history import channels as channel_columns
from model_training.history import labels, time_column
from model_training.history.records import FileRows, History, HistoryError, Recording, within
from model_training.history.spec import Spec
from model_training.history.table import Table
from model_training.history.table_files import tables as read_tables

MIN_ROWS = 20
"""Fewer rows show no interval."""


def read(paths: Sequence[Path], spec: Spec, require: Sequence[str] = ()) -> History:
    """Read tables of any layout.

    Args:
        paths: files, or folders of files.
        require: channels that must be there, such as those of a bundle, in this order; all others are ignored. Without it, the channels
            are those of the spec, or all numeric columns.

    Raises:
        HistoryError: one sentence: the problem, its place, the remedy.
    """
    tables = read_tables(paths, spec)
    if not tables:
        raise HistoryError(f"{', '.join(map(str, paths))} has no rows; name other files")
    files, offsets = _file_numbers(tables)
    parts = [part for number, table in enumerate(tables) for part in _parts(table, number, spec)]
    notes = _table_notes(tables, parts)
    interval_s, refused = _interval(parts, spec)
    notes += refused
    events = labels.Events(spec)
    label, further = labels.label_columns(tables, spec, require)
    used = {*(name for part in parts for name in part.time_columns), spec.asset_column, label, *further, *spec.ignore}
    selection = channel_columns.select(tables, [(part.number, part.rows) for part in parts], spec, require, used)
    notes += [f"rows every {interval_s:g} s", *selection.notes]
    if label:
        notes.append(f"column {label!r} marks faults and is no channel")
    notes += [f"column {each!r} looks like labels and is no channel" for each in further if not require]
    excluded = events.spans(spec.exclude, "`exclude` in the spec")
    recordings = []
    for part in parts:
        table = tables[part.number]
        marked = table.columns[label].texts if label in table.columns else None
        spans = events.of(table.name)
        if spans is None and events.stated:
            notes.append(f"{table.name} is not in the list of events, so none are known for it")
        if spans is not None:
            inside = tuple(span for span in spans if span[1] >= part.times[0] and span[0] <= part.times[-1])
            if spans and not inside:
                notes.append(f"none of the {len(spans)} known events lies within the times of {table.name}")
            spans = inside
        recordings.append(
            Recording(
                part.name,
                part.times,
                selection.values(table, part.number, part.rows),
                None if marked is None else labels.marks([marked[row] for row in part.rows.tolist()], spec.labels.normal),
                spans,
                within(part.times, excluded),
                table.file_of[part.rows] + np.int32(offsets[part.number]),
                table.rows[part.rows],
            )
        )
    for part in parts:
        table = tables[part.number]
        for file, row, text in zip((table.file_of + offsets[part.number]).tolist(), table.rows.tolist(), part.texts, strict=True):
            files[file][1][row] = text
    return History(
        tuple(recordings),
        selection.channels,
        interval_s,
        tuple(dict.fromkeys(notes)),
        tuple(FileRows(file, tuple(times)) for file, times in files),
    )


@dataclass(frozen=True)
class _Part:
    """The rows of one asset in one table, in the order of time.

    Attributes:
        number: of the table.
        rows: (n,) indices of the table's rows.
        times: (n,) int64 ns.
        found: what was found on the time column.
        texts: time cells of all rows of the table.
        notes: on rows that were dropped.
    """

    name: str
    number: int
    rows: np.ndarray
    times: np.ndarray
    time_columns: tuple[str, ...]
    found: str
    texts: list[str]
    notes: tuple[str, ...]


def _parts(table: Table, number: int, spec: Spec) -> list[_Part]:
    columns = time_column.find(table, spec)
    times, known, texts, found = time_column.read(table, columns, spec)
    parts = []
    for asset, rows in _assets(table, spec).items():
        name = f"{table.name}#{asset}" if asset else table.name
        order, notes = time_column.ordered(times[rows], known[rows], name)
        rows = rows[order]
        parts.append(_Part(name, number, rows, times[rows], columns, found, texts, (*table.notes, *notes)))
    return parts


def _assets(table: Table, spec: Spec) -> dict[str, np.ndarray]:
    every = np.arange(len(table))
    if not spec.asset_column:
        return {table.asset: every}
    if spec.asset_column not in table.columns:
        raise HistoryError(f"{table.name} has no column {spec.asset_column!r}; correct `asset_column` in the spec, or the file")
    names = np.array([text.strip() for text in table.columns[spec.asset_column].texts or ()])
    return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist()) if name}


def _interval(parts: list[_Part], spec: Spec) -> tuple[float, list[str]]:
    """The interval of all parts, and notes on it.

    Raises:
        HistoryError: too few rows, or a part with another interval.
    """
    rows = sum(len(part.times) for part in parts)
    if rows < MIN_ROWS or all(len(part.times) < 2 for part in parts):
        raise HistoryError(f"{parts[0].name} has {rows} rows with a time; at least {MIN_ROWS} are needed; add rows")
    each = {part.name: time_column.interval_s(part.times) for part in parts if len(part.times) > 1}
    interval = spec.interval_s or float(np.median(list(each.values())))
    for name, own in each.items():
        if not interval / 2 < own < interval * 2:
            origin = "the spec" if spec.interval_s else "most others"
            raise HistoryError(f"{name} has rows every {own:g} s, {origin} every {interval:g} s; resample the file, or leave it out")
    steps = np.concatenate([np.diff(part.times) for part in parts]) / SECOND
    uneven = float(np.mean(np.abs(steps - interval) > interval / 2))
    return interval, [f"{100 * uneven:.0f} % of the steps differ from the interval by more than half of it"] if uneven > 0.1 else []


def _table_notes(tables: list[Table], parts: list[_Part]) -> list[str]:
    rows = sum(len(part.times) for part in parts)
    first, last = min(part.times[0] for part in parts if len(part.times)), max(part.times[-1] for part in parts if len(part.times))
    files = time_column.counted(len({file for table in tables for file, _ in table.files}), "file")
    notes = [f"{rows} rows in {files}, {to_iso(int(first))} to {to_iso(int(last))}"]
    notes += dict.fromkeys(part.found for part in parts)
    notes += [f"{part.name}: {note}" for part in parts for note in part.notes]
    return notes


def _file_numbers(tables: list[Table]) -> tuple[list[tuple[str, list[str]]], list[int]]:
    """Every file with room for the times of its rows, and the number of each table's first file."""
    files: list[tuple[str, list[str]]] = []
    offsets = []
    for table in tables:
        offsets.append(len(files))
        files += [(file, [""] * rows) for file, rows in table.files]
    return files, offsets
