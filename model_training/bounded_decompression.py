"""Decompression that stops at a bound: a small file can unpack to more than there is memory."""

from __future__ import annotations

import gzip
import io
from functools import partial

MAX_UNPACKED_BYTES = 2**28
"""Bytes that one compressed file of rows may unpack to."""


CHUNK_BYTES = 2**16


class DecompressionLimitError(ValueError):
    """It unpacks to more than is allowed."""


def gunzip(content: bytes, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """The content of a gzip file.

    Raises:
        TooMuch: it has more than `most` bytes; no more than these were held in memory.
        OSError, EOFError, zlib.error: it is no whole gzip file.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        # Piece by piece: a read takes as much memory as it asks for.
        return b"".join(iter(partial(BoundedReader(file, limit).read, CHUNK_BYTES), b""))


class BoundedReader(io.RawIOBase):
    """Reads from `file` until `most` bytes have come; then raises TooMuch."""

    def __init__(self, file: io.BufferedIOBase, limit: int) -> None:
        self._file, self._limit, self._remaining = file, limit, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._remaining + 1 if size < 0 else min(size, self._remaining + 1))
        self._remaining -= len(data)
        if self._remaining < 0:
            raise DecompressionLimitError(f"unpacks to more than {self._limit} bytes")
        return data
