"""Whole segments cut into messages for IoT Core. Pure.

A piece is read by itself: its text has a heading of its own, as a segment has (see `lines`), so that neither order nor neighbours matter.
"""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple

import msgspec

from edgeml.cloud.outbox import ENVELOPE, MAX_ENTRY
from edgeml.timestamps import to_iso

MOST = min(MAX_ENTRY, 5_000 - ENVELOPE)
"""Bytes of a message. IoT Core and Firehose count in parts of 5 KiB, and a full IPC message would be two of them."""
FIRST_ROWS = 256
"""Rows that a first piece is tried with."""


class Chunk(msgspec.Struct, kw_only=True, tag_field="type", tag="capture"):
    """What is sent.

    Attributes:
        segment: the name of the file that it is of, without its ending.
        row, rows: the number of its first row in the file, from 0, and how many they are.
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
    """A file's text: what its heading says, the line of the columns' names, a line for each row."""

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

    def piece(self, thing: str, name: str, row: int, at_most: int = FIRST_ROWS) -> tuple[bytes, int]:
        """The message with as many rows from number `row` on as fit, `at_most` and one at least; and how many they are.

        Raises:
            ValueError: not even one row fits.
        """
        count = min(at_most, len(self.rows) - row)
        while True:
            payload = self._message(thing, name, row, count)
            if len(payload) <= MOST:
                return payload, count
            if count == 1:
                raise ValueError(f"a row of {len(self.about['channels'])} channels does not fit into a message")
            count = max(1, min(count - 1, int(0.97 * count * MOST / len(payload))))

    def _message(self, thing: str, name: str, row: int, count: int) -> bytes:
        # What was lost before the segment was lost once.
        about = self.about if row == 0 else {**self.about, "lost_rows": 0}
        lines = [f"# {json.dumps(about, ensure_ascii=False)}\n".encode(), self.columns, *self.rows[row : row + count]]
        packed = gzip.compress(b"".join(lines), 9, mtime=0)
        piece = Chunk(
            thing=thing, asset=self.about["asset"], segment=name, row=row, rows=count, at=to_iso(time_of(self.rows[row])), gzip=packed
        )
        return msgspec.json.encode(piece)


def time_of(row: bytes) -> int:
    """Event time of a row's line, ns.

    Raises:
        ValueError: it has none, or one that is no time.
    """
    time = int(row.partition(b",")[0])
    if not 0 <= time < 1 << 63:
        raise ValueError(f"the time {time} is none")
    return time
