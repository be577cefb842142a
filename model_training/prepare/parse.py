"""Parse files into rows: captured files by their header, captured chunks from IoT Core, other CSV files by the plan. Pure."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from edgeml.messages import MISSING
from edgeml.parsing.csv_records import Lines, cells, extra, headings, readable
from edgeml.parsing.readings import BLANKS, numbers, time_ns, times_ns
from model_training.bounded_decompression import gunzip
from model_training.prepare.plan import Csv
from model_training.prepare.rows import PrepareError, Rows, Statistics

CAPTURE = b'# {"format": "edgeml-capture"'
CAPTURE_VERSION = 1
MESSAGE = b"{"
"""First byte of an object that Firehose writes; a CSV header never begins with it."""
FLAGS = re.compile("[0-9]*")
CHUNK = 4096
"""Number of rows parsed at a time."""
MAX_MESSAGE_BYTES = 2**24
"""Maximum unpacked size of one message; a message has about 5 kB."""


def parse(name: str, content: bytes, layout: Csv, statistics: Statistics) -> list[Rows]:
    """Parse one file into rows by asset.

    Raises:
        PrepareError: the file is unusable. The text continues a sentence that begins with the file's name.
    """
    if content.startswith(CAPTURE):
        return [_captured(name, content, statistics)]
    if content.startswith(MESSAGE):
        return _pieces(name, content, statistics)
    return _csv(name, content, layout, statistics)


def _captured(name: str, content: bytes, statistics: Statistics) -> Rows:
    first, _, rest = content.partition(b"\n")
    try:
        about = json.loads(first[2:])
        asset, channels, units = str(about["asset"]), tuple(map(str, about["channels"])), list(map(str, about["units"]))
        version, lost = int(about["version"]), int(about.get("lost_rows", 0))
    except (ValueError, KeyError, TypeError) as fault:
        raise PrepareError(f"has an invalid header ({fault!r}); remove the file") from None
    if version > CAPTURE_VERSION:
        raise PrepareError(f"has capture version {version}, supported is {CAPTURE_VERSION}; update this project")
    statistics.lost += lost
    lines = rest[: rest.rfind(b"\n") + 1].decode("utf-8", "replace").split("\n")[1:-1]
    if rest and not rest.endswith(b"\n"):
        statistics.seen += 1
        statistics.row("truncated line", f"{name}, last line")
    times, values, quality = [], [], []
    for number, line in enumerate(lines, 3):
        statistics.seen += 1
        row = line.split(",")
        if len(row) != len(channels) + 3 or len(row[-1]) != len(channels):
            statistics.row("wrong number of cells", f"{name}, line {number}")
            continue
        readings, wrong = numbers(row[2:-1])
        try:
            if not FLAGS.fullmatch(row[-1]):
                raise ValueError("no quality flags")
            times.append(time_ns(row[0], "ns"))
        except ValueError:
            statistics.row("unreadable row", f"{name}, line {number}")
            continue
        for at in wrong:
            statistics.value("not a number", f"{name}, line {number}, column {channels[at]!r}: {row[2 + at][:40]!r}")
        values.append(readings.tolist())
        quality.append([int(flag) for flag in row[-1]])
    known = {channel: unit for channel, unit in zip(channels, units, strict=False) if unit}
    return _rows(asset, channels, times, values, quality, known)


def _pieces(name: str, content: bytes, statistics: Statistics) -> list[Rows]:
    """Captured rows as the rule of IoT Core stores them: one JSON object a line, each with a chunk of a file and its header."""
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        where = f"{name}, line {number}"
        try:
            message = json.loads(line)
            thing, packed = str(message["thing"]), base64.b64decode(message["gzip"], validate=True)
            text = gunzip(packed, MAX_MESSAGE_BYTES)
            if message["type"] != "capture" or not text.startswith(CAPTURE):
                raise ValueError("not captured rows")
            rows = _captured(where, text, statistics)
        except (ValueError, KeyError, TypeError, RecursionError, OSError, EOFError, zlib.error, PrepareError):
            statistics.seen += 1
            statistics.row("not captured rows", where)
            continue
        # Several devices may have an asset of the same name.
        found.append(rows._replace(asset=f"{thing}/{rows.asset}"))
    if not found:
        raise PrepareError("has no captured rows; remove the file")
    return found


def _csv(name: str, content: bytes, layout: Csv, statistics: Statistics) -> list[Rows]:
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


def _rows(
    asset: str, channels: tuple[str, ...], times: list[int], values: list[list[float]], quality: list[list[int]], units: dict[str, str]
) -> Rows:
    shape = (len(times), len(channels))
    return Rows(
        asset,
        channels,
        np.array(times, np.int64),
        np.array(values, np.float32).reshape(shape),
        np.array(quality, np.uint8).reshape(shape),
        units,
    )
