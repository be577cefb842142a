"""Decompression that stops at a bound: a small file can unpack to more than there is memory."""

from __future__ import annotations

import gzip
import io
from functools import partial

MOST_TEXT = 2**28
"""Bytes that one compressed file of rows may unpack to."""


PIECE = 2**16


class TooMuch(ValueError):
    """It unpacks to more than is allowed."""


def gunzip(content: bytes, most: int = MOST_TEXT) -> bytes:
    """The content of a gzip file.

    Raises:
        TooMuch: it has more than `most` bytes; no more than these were held in memory.
        OSError, EOFError, zlib.error: it is no whole gzip file.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        # Piece by piece: a read takes as much memory as it asks for.
        return b"".join(iter(partial(Bounded(file, most).read, PIECE), b""))


class Bounded(io.RawIOBase):
    """Reads from `file` until `most` bytes have come; then raises TooMuch."""

    def __init__(self, file: io.BufferedIOBase, most: int) -> None:
        self._file, self._most, self._left = file, most, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise TooMuch(f"unpacks to more than {self._most} bytes")
        return data
