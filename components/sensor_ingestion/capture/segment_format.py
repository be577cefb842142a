"""The format of a captured segment: plain text. Pure.

    # {"format": "edgeml-capture", "version": 1, "asset": "pump-1", "stream": "0f…", "channels": ["flow"], "units": ["l/min"], …}
    time_ns,seq,flow,quality
    1583748873000000000,0,121.5,0

`time_ns` is event time since the epoch, UTC; `seq` the number of the batch within its stream; a missing value is `nan`; `quality` has one
digit for each channel, in their order (`edgeml.messages.QUALITY_NAMES`). Values are the shortest text that gives the same float32.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timezone
from typing import NamedTuple
from urllib.parse import quote

from edgeml.messages import SensorBatch
from edgeml.storage.asset_filenames import file_name
from edgeml.timestamps import SECOND

FORMAT, VERSION = "edgeml-capture", 1
HEADER_LINES = 2


class Row(NamedTuple):
    """One row in a file: event time, ns, and its line."""

    time: int
    line: bytes


def header(batch: SensorBatch, lost: int) -> bytes:
    """The first two lines of a segment that begins with this batch.

    Args:
        lost: rows of this asset that were not captured since its last segment.
    """
    about = {
        "format": FORMAT,
        "version": VERSION,
        "asset": batch.asset,
        "stream": batch.stream,
        "channels": list(batch.channels),
        "units": list(batch.units),
        "lost_rows": lost,
    }
    names = io.StringIO()
    plain = (" ".join(channel.split()) for channel in batch.channels)
    csv.writer(names, lineterminator="\n").writerow(("time_ns", "seq", *plain, "quality"))
    return f"# {json.dumps(about, ensure_ascii=False)}\n{names.getvalue()}".encode()


def rows(batch: SensorBatch) -> list[Row]:
    """The line of each row."""
    times, values, quality = batch.arrays()
    lines = []
    for time, readings, flags in zip(times.tolist(), values, quality.tolist(), strict=True):
        cells = ",".join(map(str, readings))
        lines.append(Row(time, f"{time},{batch.seq},{cells},{''.join(map(str, flags))}\n".encode()))
    return lines


def recovered(content: bytes) -> bytes:
    """The complete lines of a segment that was open at a power cut; empty if it has no row."""
    nul = content.find(b"\0")  # blocks that the file system had reserved but not written
    if nul >= 0:
        content = content[:nul]
    content = content[: content.rfind(b"\n") + 1]
    return content if content.count(b"\n") > HEADER_LINES else b""


def last_seq(content: bytes) -> int:
    """The sequence number of the batch of a segment's last row; -1 if it cannot be read."""
    try:
        return int(content.rstrip(b"\n").rsplit(b"\n", 1)[-1].split(b",")[1])
    except (IndexError, ValueError):
        return -1


def day(time_ns: int) -> str:
    """`2020-03-09`, UTC."""
    return datetime.fromtimestamp(time_ns // SECOND, timezone.utc).strftime("%Y-%m-%d")


def folder_name(asset: str) -> str:
    """The folder of an asset: see `edgeml.storage.asset_filenames`."""
    return file_name(asset)


def segment_name(time_ns: int, stream: str, seq: int) -> str:
    """A unique name that sorts by event time: `20200309T101433.000000000Z-<stream>-<seq>`."""
    moment = datetime.fromtimestamp(time_ns // SECOND, timezone.utc).strftime("%Y%m%dT%H%M%S")
    return f"{moment}.{time_ns % SECOND:09d}Z-{quote(stream, safe='')[:32]}-{seq:09d}"
