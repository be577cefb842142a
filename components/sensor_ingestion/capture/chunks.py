"""Divides complete segments into messages for IoT Core. Pure.

Each chunk is readable alone: its text has a heading, as a segment has (see `segment_format`).
"""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple

import msgspec

from edgeml.cloud.outbox import ENVELOPE, MAX_ENTRY
from edgeml.timestamps import to_iso

MAX_BYTES = min(MAX_ENTRY, 5_000 - ENVELOPE)
"""Bytes of a message. IoT Core and Firehose bill units of 5 KiB, and a full IPC message would be two of them."""
FIRST_ROWS = 256
"""Rows with which the first chunk is tried."""


class Chunk(msgspec.Struct, kw_only=True, tag_field="type", tag="capture"):
    """One message.

    Attributes:
        segment: the name of its file, without the suffix.
        row, rows: the number of its first row in the file, from 0, and the number of rows.
        at: event time of the first, ISO 8601.
        gzip: heading and rows as text, compressed; base64 in JSON.
    """

    v: int = 1
    thing: str
    asset: str
    segment: str
    row: int
    rows: int
    at: str
    gzip: bytes


class Segment(NamedTuple):
    """The text of a file: its heading, decoded, the line of column names, and a line for each row."""

    about: dict[str, Any]
    columns: bytes
    rows: list[bytes]

    @classmethod
    def read(cls, text: bytes) -> Segment:
        """
        Raises:
            ValueError: it is no captured segment.
        """
        heading, columns, *rows = text.splitlines(keepends=True)
        try:
            about = json.loads(heading.removeprefix(b"# "))
        except RecursionError:
            about = None
        sound = isinstance(about, dict) and isinstance(about.get("asset"), str) and isinstance(about.get("channels"), list)
        if not rows or not sound:
            raise ValueError("no captured segment")
        for row in rows:
            time_of(row)
        return cls(about, columns, rows)

    def chunk(self, thing: str, name: str, row: int, max_rows: int = FIRST_ROWS) -> tuple[bytes, int]:
        """The message with as many rows from number `row` on as fit, at least one and at most `max_rows`; and their number.

        Raises:
            ValueError: not even one row fits.
        """
        count = min(max_rows, len(self.rows) - row)
        while True:
            payload = self._message(thing, name, row, count)
            if len(payload) <= MAX_BYTES:
                return payload, count
            if count == 1:
                raise ValueError(f"a row of {len(self.about['channels'])} channels does not fit into a message")
            count = max(1, min(count - 1, int(0.97 * count * MAX_BYTES / len(payload))))

    def _message(self, thing: str, name: str, row: int, count: int) -> bytes:
        # Rows lost before the segment are reported once.
        about = self.about if row == 0 else {**self.about, "lost_rows": 0}
        lines = [f"# {json.dumps(about, ensure_ascii=False)}\n".encode(), self.columns, *self.rows[row : row + count]]
        packed = gzip.compress(b"".join(lines), 9, mtime=0)
        chunk = Chunk(
            thing=thing, asset=self.about["asset"], segment=name, row=row, rows=count, at=to_iso(time_of(self.rows[row])), gzip=packed
        )
        return msgspec.json.encode(chunk)


def time_of(row: bytes) -> int:
    """Event time of a row's line, ns.

    Raises:
        ValueError: it has no valid time.
    """
    time = int(row.partition(b",")[0])
    if not 0 <= time < 1 << 63:
        raise ValueError(f"the time {time} is invalid")
    return time
