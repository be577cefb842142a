"""Files become rows: captured ones by their heading, pieces of them that came through IoT Core, other CSV files by the plan. Pure."""

from __future__ import annotations

import base64
import csv
import io
import json
import zlib
from pathlib import PurePosixPath

import numpy as np

from edgeml.messages import MISSING
from edgeml.times import SECOND, from_iso
from model_training.bounded import gunzip

from .plan import Csv
from .rows import PrepareError, Rows, Tally

CAPTURE = b'# {"format": "edgeml-capture"'
CAPTURE_VERSION = 1
MESSAGE = b"{"
"""How a line of what Firehose writes begins; a CSV's heading does not."""
UNITS_NS = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
LATEST_NS = 1 << 63
MOST_PIECE = 2**24
"""Bytes that the rows of one message unpack to, at most; a message is of 5 kB."""
EMPTY = ("", "nan", "null", "none", "na", "n/a")


def parse(name: str, content: bytes, layout: Csv, tally: Tally) -> list[Rows]:
    """The rows of one file, by asset.

    Raises:
        PrepareError: the file as a whole cannot be used; the sentence goes on after the file's name.
    """
    if content.startswith(CAPTURE):
        return [_captured(name, content, tally)]
    if content.startswith(MESSAGE):
        return _pieces(name, content, tally)
    return _csv(name, content, layout, tally)


def _captured(name: str, content: bytes, tally: Tally) -> Rows:
    first, _, rest = content.partition(b"\n")
    try:
        about = json.loads(first[2:])
        asset, channels, units = str(about["asset"]), tuple(map(str, about["channels"])), list(map(str, about["units"]))
        version, lost = int(about["version"]), int(about.get("lost_rows", 0))
    except (ValueError, KeyError, TypeError) as fault:
        raise PrepareError(f"has a damaged heading ({fault!r}); take it out") from None
    if version > CAPTURE_VERSION:
        raise PrepareError(f"is of the capture's version {version}, known is {CAPTURE_VERSION}; update this project")
    tally.lost += lost
    lines = rest[: rest.rfind(b"\n") + 1].decode("utf-8", "replace").splitlines()[1:]
    if rest and not rest.endswith(b"\n"):
        tally.seen += 1
        tally.row("line breaks off", f"{name}, the last line")
    times, values, quality = [], [], []
    for number, line in enumerate(lines, 3):
        tally.seen += 1
        cells = line.split(",")
        if len(cells) != len(channels) + 3 or len(cells[-1]) != len(channels):
            tally.row("wrong number of cells", f"{name}, line {number}")
            continue
        try:
            if not 0 <= int(cells[0]) < LATEST_NS:
                raise ValueError("no event time")
            row = int(cells[0]), [float(cell) for cell in cells[2:-1]], [int(flag) for flag in cells[-1]]
        except ValueError:
            tally.row("not readable", f"{name}, line {number}")
            continue
        times.append(row[0])
        values.append(row[1])
        quality.append(row[2])
    known = {channel: unit for channel, unit in zip(channels, units, strict=False) if unit}
    return _rows(asset, channels, times, values, quality, known)


def _pieces(name: str, content: bytes, tally: Tally) -> list[Rows]:
    """Captured rows as the cloud's rule stores them: a JSON object a line, each with some rows of a file and their heading."""
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        where = f"{name}, line {number}"
        try:
            message = json.loads(line)
            thing, packed = str(message["thing"]), base64.b64decode(message["gzip"], validate=True)
            text = gunzip(packed, MOST_PIECE)
            if message["type"] != "capture" or not text.startswith(CAPTURE):
                raise ValueError("no captured rows")
            rows = _captured(where, text, tally)
        except (ValueError, KeyError, TypeError, RecursionError, OSError, EOFError, zlib.error, PrepareError):
            tally.seen += 1
            tally.row("no captured rows", where)
            continue
        # Every device may have a pump-1.
        found.append(rows._replace(asset=f"{thing}/{rows.asset}"))
    if not found:
        raise PrepareError("has no captured rows; take it out")
    return found


def _csv(name: str, content: bytes, layout: Csv, tally: Tally) -> list[Rows]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=layout.delimiter)
        heading = [cell.strip() for cell in next(reader, [])]
    except (UnicodeDecodeError, csv.Error) as fault:
        raise PrepareError(f"is no CSV text ({fault}); take it out, or mend it") from None
    if not heading:
        raise PrepareError("is empty; take it out")
    columns = layout.columns or {each: each for each in heading if each and each not in (layout.time_column, layout.asset_column)}
    wanted = [layout.time_column, *columns.values(), *([layout.asset_column] if layout.asset_column else [])]
    absent = [each for each in wanted if each not in heading]
    if absent:
        raise PrepareError(f"has no column {', '.join(map(repr, absent))}; it has {', '.join(heading)}; mend `csv` in the plan or the file")
    places = [heading.index(each) for each in columns.values()]
    time_place = heading.index(layout.time_column)
    asset_place = heading.index(layout.asset_column) if layout.asset_column else None
    own = _asset(name, layout)
    found: dict[str, tuple[list[int], list[list[float]], list[list[int]]]] = {}
    try:
        for cells in reader:
            where = f"{name}, line {reader.line_num}"
            if not cells:
                continue
            tally.seen += 1
            if len(cells) != len(heading):
                tally.row("wrong number of cells", where)
                continue
            try:
                time = _time(cells[time_place], layout)
            except (ValueError, OverflowError):
                tally.row("time not readable", f"{where}: {cells[time_place][:40]!r}")
                continue
            asset = own if asset_place is None else cells[asset_place].strip()
            if not asset:
                tally.row("no asset named", where)
                continue
            numbers = [_number(cells[place], layout, tally, f"{where}, column {heading[place]!r}") for place in places]
            times, values, quality = found.setdefault(asset, ([], [], []))
            times.append(time)
            values.append(numbers)
            quality.append([MISSING if number != number else 0 for number in numbers])
    except csv.Error as fault:
        raise PrepareError(f"is no CSV text from line {reader.line_num} on ({fault}); take it out, or mend it") from None
    if not found:
        raise PrepareError("has no rows that can be used; take it out, or mend it")
    return [_rows(asset, tuple(columns), *parts, {}) for asset, parts in found.items()]


def _asset(name: str, layout: Csv) -> str:
    path = PurePosixPath(name)
    if layout.asset == "folder" and len(path.parts) > 1:
        return str(path.parent)
    return name[: -len("".join(path.suffixes))] if path.suffixes else name


def _time(cell: str, layout: Csv) -> int:
    ns = _nanoseconds(cell, layout)
    if not 0 <= ns < LATEST_NS:
        raise ValueError("before 1970, or after 2262")
    return ns


def _nanoseconds(cell: str, layout: Csv) -> int:
    if layout.time_unit == "iso":
        return from_iso(cell)
    text = cell.strip().replace(",", ".") if layout.decimal == "," else cell.strip()
    whole, _, rest = text.partition(".")
    scale = UNITS_NS[layout.time_unit]
    if rest and "e" not in text.lower():
        sign = -1 if whole.startswith("-") else 1
        return int(whole) * scale + sign * round(float("0." + rest) * scale)
    return int(whole) * scale if not rest else round(float(text) * scale)


def _number(cell: str, layout: Csv, tally: Tally, where: str) -> float:
    text = cell.strip()
    if text.lower() in EMPTY:
        return float("nan")
    try:
        return float(text.replace(",", ".") if layout.decimal == "," else text)
    except ValueError:
        tally.value("no number", f"{where}: {text[:40]!r}")
        return float("nan")


def _rows(
    asset: str, channels: tuple[str, ...], times: list[int], values: list[list[float]], quality: list[list[int]], units: dict[str, str]
) -> Rows:
    shape = (len(times), len(channels))
    return Rows(
        asset, channels, np.array(times, np.int64), np.array(values, np.float32).reshape(shape),
        np.array(quality, np.uint8).reshape(shape), units,
    )
