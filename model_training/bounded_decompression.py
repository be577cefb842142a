"""Decompression with a size limit, because a small file can unpack to more bytes than the memory holds."""

from __future__ import annotations

import gzip
import io
from functools import partial

MAX_UNPACKED_BYTES = 2**28
"""Maximum unpacked size of one compressed file of rows."""


CHUNK_BYTES = 2**16


class DecompressionLimitError(ValueError):
    """The unpacked content exceeds the limit."""


def gunzip(content: bytes, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """Decompress a gzip file.

    Raises:
        DecompressionLimitError: the content exceeds `limit` bytes; at most that many were held in memory.
        OSError, EOFError, zlib.error: the file is not a complete gzip file.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        # In chunks: a read allocates as many bytes as it requests.
        return b"".join(iter(partial(BoundedReader(file, limit).read, CHUNK_BYTES), b""))


class BoundedReader(io.RawIOBase):
    """Read at most `limit` bytes from `file`, then raise DecompressionLimitError."""

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
