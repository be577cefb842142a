"""Rows of CSV files, in the layout of the plan. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from edgeml.messages import MISSING
from edgeml.parsing.csv_records import Lines, cells, extra, headings, readable
from edgeml.parsing.readings import BLANKS, numbers, times_ns
from model_training.prepare.plan import Csv
from model_training.prepare.rows import PrepareError, Rows, Statistics

CHUNK = 4096
"""Number of rows parsed at a time."""


def parse_csv(name: str, content: bytes, layout: Csv, statistics: Statistics) -> list[Rows]:
    """Parse a CSV file."""
    lines = Lines(io.BytesIO(content))
    try:
        first = lines.next()
        heading = headings(first.text or "", layout.delimiter) if first is not None else []
    except ValueError as fault:
        raise PrepareError(f"is not a CSV file ({fault}); remove or correct the file") from None
    if not heading:
        raise PrepareError("is empty; remove the file")
    columns = layout.columns or {each: each for each in heading if each and each not in (layout.time_column, layout.asset_column)}
    requested = [layout.time_column, *columns.values(), *([layout.asset_column] if layout.asset_column else [])]
    absent = [each for each in requested if each not in heading]
    if absent:
        raise PrepareError(
            f"has no column {', '.join(map(repr, absent))}; it has {', '.join(heading)}; correct `csv` in the plan, or the file"
        )
    places = [heading.index(each) for each in columns.values()]
    time_place = heading.index(layout.time_column)
    asset_place = heading.index(layout.asset_column) if layout.asset_column else None
    default_asset = _asset(name, layout)
    found: dict[str, list[Rows]] = {}
    for numbered in _chunks(name, lines, layout.delimiter, len(heading), statistics):
        kept = _timed(name, numbered, time_place, layout, statistics)
        by_asset: dict[str, list[tuple[int, int, list[str]]]] = {}
        for time, number, row in kept:
            asset = default_asset if asset_place is None else readable(row[asset_place]).strip()
            if asset:
                by_asset.setdefault(asset, []).append((time, number, row))
            else:
                statistics.row("no asset name", f"{name}, line {number}")
        for asset, rows in by_asset.items():
            found.setdefault(asset, []).append(_valued(name, asset, rows, heading, tuple(columns), places, layout, statistics))
    if not found:
        raise PrepareError("has no usable rows; remove or correct the file")
    return [_concatenate(parts) for parts in found.values()]


def _chunks(name: str, lines: Lines, delimiter: str, width: int, statistics: Statistics) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield the complete rows of the file with their line numbers, `CHUNK` at a time."""
    chunk: list[tuple[int, list[str]]] = []
    while (line := lines.next()) is not None:
        where = f"{name}, line {line.number}"
        if line.text is not None and not line.text.strip(BLANKS):
            continue
        statistics.seen += 1
        if line.text is None:
            statistics.row("line too long", where)
            continue
        try:
            row = cells(line.text, delimiter)
        except ValueError:
            statistics.row("unclosed quote", where)
            continue
        if len(row) < width or extra(row, width):
            statistics.row("wrong number of cells", where)
            continue
        chunk.append((line.number, row))
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    yield chunk


def _timed(
    name: str, rows: list[tuple[int, list[str]]], place: int, layout: Csv, statistics: Statistics
) -> list[tuple[int, int, list[str]]]:
    """Rows with a valid time, as (time, line number, cells)."""
    times, reasons = times_ns([row[place] for _, row in rows], layout.time_unit, layout.decimal)
    for at in reasons:
        number, row = rows[at]
        statistics.row("invalid time", f"{name}, line {number}: {readable(row[place][:40])!r}")
    return [(time, *rows[at]) for at, time in enumerate(times.tolist()) if at not in reasons]


def _valued(
    name: str,
    asset: str,
    rows: list[tuple[int, int, list[str]]],
    heading: list[str],
    channels: tuple[str, ...],
    places: list[int],
    layout: Csv,
    statistics: Statistics,
) -> Rows:
    values, reasons = numbers([row[place] for _, _, row in rows for place in places], layout.decimal)
    for at in reasons:
        of, column = divmod(at, len(places))
        _, number, row = rows[of]
        cell = readable(row[places[column]][:40])
        statistics.value("not a number", f"{name}, line {number}, column {heading[places[column]]!r}: {cell!r}")
    values = values.reshape(len(rows), len(places))
    return Rows(
        asset,
        channels,
        np.array([time for time, _, _ in rows], np.int64),
        values,
        np.isnan(values).astype(np.uint8) * MISSING,
        {},
    )


def _concatenate(parts: list[Rows]) -> Rows:
    times, values, quality = (np.concatenate([part[place] for part in parts]) for place in (2, 3, 4))
    return parts[0]._replace(times=times, values=values, quality=quality)


def _asset(name: str, layout: Csv) -> str:
    path = PurePosixPath(name)
    if layout.asset == "folder" and len(path.parts) > 1:
        return str(path.parent)
    return name[: -len("".join(path.suffixes))] if path.suffixes else name
