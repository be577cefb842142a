"""Captured rows: files that SensorIngestion has captured, and chunks of them that came through IoT Core. Pure."""

from __future__ import annotations

import base64
import json
import re
import zlib

import numpy as np

from edgeml.parsing.readings import numbers, time_ns
from model_training.bounded_decompression import gunzip
from model_training.prepare.rows import PrepareError, Rows, Statistics

CAPTURE = b'# {"format": "edgeml-capture"'
CAPTURE_VERSION = 1
MESSAGE = b"{"
"""First byte of an object that Firehose writes; a CSV header never begins with it."""
FLAGS = re.compile("[0-9]*")
MAX_MESSAGE_BYTES = 2**24
"""Maximum unpacked size of one message; a message has about 5 kB."""


def parse_captured(name: str, content: bytes, statistics: Statistics) -> Rows:
    """Parse a captured file."""
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


def parse_messages(name: str, content: bytes, statistics: Statistics) -> list[Rows]:
    """Parse captured rows as the rule of IoT Core stores them: one JSON object a line, each with a chunk of a file and its header."""
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        where = f"{name}, line {number}"
        try:
            message = json.loads(line)
            thing, packed = str(message["thing"]), base64.b64decode(message["gzip"], validate=True)
            text = gunzip(packed, MAX_MESSAGE_BYTES)
            if message["type"] != "capture" or not text.startswith(CAPTURE):
                raise ValueError("not captured rows")
            rows = parse_captured(where, text, statistics)
        except (ValueError, KeyError, TypeError, RecursionError, OSError, EOFError, zlib.error, PrepareError):
            statistics.seen += 1
            statistics.row("not captured rows", where)
            continue
        # Several devices may have an asset of the same name.
        found.append(rows._replace(asset=f"{thing}/{rows.asset}"))
    if not found:
        raise PrepareError("has no captured rows; remove the file")
    return found


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
