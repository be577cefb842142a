"""Captured segments on disk: never more than the quota, the oldest are deleted first.

A segment is written as plain text, `….part`; when it is full, it is compressed to `….csv.gz`, which replaces it only when it is complete
on the disk. A segment that a killed process or a power cut left open is recovered by the next process.
"""

from __future__ import annotations

import errno
import gzip
import logging
import os
import zlib
from collections import deque
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edgeml.messages import SensorBatch
from edgeml.storage.regular_files import plain_bytes
from edgeml.timestamps import SECOND
from sensor_ingestion.capture import segment_format
from sensor_ingestion.capture.segment_format import Row

log = logging.getLogger(__name__)

PART, COMPLETE, NEW = ".part", ".csv.gz", ".new"
SENT = ".sent" + COMPLETE
"""Of a complete segment that is in IoT Core, too."""


class Limits(NamedTuple):
    """Limits of the capture.

    Attributes:
        quota: bytes of all files together.
        segment: bytes of one open segment, at most.
        rows, span_ns: of one segment, at most.
    """

    quota: int
    segment: int
    rows: int
    span_ns: int

    @classmethod
    def of(cls, quota_mb: float, segment_rows: int, segment_s: float, assets: int) -> Limits:
        """Open segments take at most a quarter of the quota, and one is compressed in the space of another, so there is always some."""
        quota = int(quota_mb * 1_000_000)
        return cls(quota, quota // (4 * max(assets, 1)), segment_rows, int(segment_s * SECOND))


class _Open(NamedTuple):
    path: Path
    file: BinaryIO
    stream: str
    channels: tuple[str, ...]
    day: str
    start_ns: int


class SegmentStore:
    """The folder of all assets' segments. Every method may raise OSError; complete segments stay complete.

    Attributes:
        used: bytes of all files.
        deleted_unsent: segments that the quota deleted before they were sent, since the process began.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._open: dict[str, _Open] = {}
        self._count: dict[str, list[int]] = {}  # asset -> rows and bytes of its open segment
        self._closed: deque[tuple[Path, int]] = deque()
        self.used = self.deleted_unsent = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._recover()

    def write(self, batch: SensorBatch, rows: list[Row], lost: int) -> None:
        """Append rows of `batch` to its asset's segment; begin a new segment if it is due.

        Args:
            lost: rows of this asset that were not captured before these; reported in the heading of a new segment.

        Raises:
            OSError: none of these rows was written.
        """
        if lost and batch.asset in self._open:
            self.close(batch.asset)
        before = self._open.get(batch.asset)
        if before is not None and self._full(before, batch, rows):
            self.close(batch.asset)
            before = None
        text = b"".join(row.line for row in rows)
        if before is None:
            text = segment_format.header(batch, lost) + text
        self._make_room(len(text))
        opened = before or self._begin(batch, rows[0].time)
        count = self._count[batch.asset]
        try:
            _append(opened.file, text)
        except OSError:
            self._truncate(batch.asset, opened, count[1])
            raise
        count[0] += len(rows)
        count[1] += len(text)
        self.used += len(text)

    def close(self, asset: str) -> None:
        """Complete the open segment of an asset."""
        opened = self._open.pop(asset, None)
        if opened is None:
            return
        del self._count[asset]
        opened.file.close()
        try:
            self._compress(opened.path)
        except OSError:
            # The uncompressed file counts as a segment, and the next start compresses it.
            self._closed.append((opened.path, opened.path.stat().st_size))
            raise

    def close_all(self) -> None:
        for asset in list(self._open):
            self.close(asset)

    def unsent(self) -> list[Path]:
        """Complete segments that are not sent, the oldest first."""
        return [path for path, _ in self._closed if path.name.endswith(COMPLETE) and not path.name.endswith(SENT)]

    def sent(self, path: Path) -> None:
        """Mark a segment as sent, by its name."""
        final = path.with_name(path.name[: -len(COMPLETE)] + SENT)
        path.replace(final)
        self._closed = deque((final if each == path else each, size) for each, size in self._closed)

    def last_seq(self, asset: str, stream: str) -> int:
        """The sequence number of the last captured batch of a stream; -1: none."""
        folder = self._folder / segment_format.folder_name(asset)
        mark = "-" + segment_format.segment_name(0, stream, 0).split("-", 1)[1].rsplit("-", 1)[0] + "-"
        found = [path for path in folder.glob(f"*/*{COMPLETE}") if mark in path.name]
        if not found:
            return -1
        newest = max(found, key=lambda path: path.name.rsplit("-", 1)[1])
        try:
            return segment_format.last_seq(gzip.decompress(plain_bytes(newest)))
        except (OSError, EOFError, zlib.error) as fault:
            log.warning("%s cannot be read (%s); some rows may be captured twice", newest, fault)
            return -1

    def _full(self, opened: _Open, batch: SensorBatch, rows: list[Row]) -> bool:
        have, size = self._count[batch.asset]
        return (
            opened.stream != batch.stream
            or opened.channels != batch.channels
            or have + len(rows) > self._limits.rows
            or size + sum(len(row.line) for row in rows) > self._limits.segment
            or opened.day != segment_format.day(rows[0].time)
            or rows[-1].time >= opened.start_ns + self._limits.span_ns
        )

    def _begin(self, batch: SensorBatch, start_ns: int) -> _Open:
        day = segment_format.day(start_ns)
        folder = self._folder / segment_format.folder_name(batch.asset) / day
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (segment_format.segment_name(start_ns, batch.stream, batch.seq) + PART)
        opened = _Open(path, path.open("wb", buffering=0), batch.stream, batch.channels, day, start_ns)
        self._open[batch.asset], self._count[batch.asset] = opened, [0, 0]
        return opened

    def _truncate(self, asset: str, opened: _Open, size: int) -> None:
        """Undo a partial write."""
        try:
            opened.file.truncate(size)
            opened.file.seek(size)
        except OSError as fault:
            log.debug("%s: %s; its last line is removed when it is compressed", opened.path, fault)
        if not size:
            del self._open[asset], self._count[asset]
            opened.file.close()
            opened.path.unlink(missing_ok=True)

    def _compress(self, part: Path) -> None:
        text = plain_bytes(part)
        complete = segment_format.recovered(text)
        if complete:
            packed = gzip.compress(complete, 6, mtime=0)
            self._make_room(len(packed))
            beside, final = part.with_suffix(NEW), part.with_name(part.name[: -len(PART)] + COMPLETE)
            try:
                with beside.open("wb") as file:
                    file.write(packed)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(final)
            except OSError:
                beside.unlink(missing_ok=True)
                raise
            self._closed.append((final, len(packed)))
            self.used += len(packed)
        part.unlink()
        self.used -= len(text)

    def _make_room(self, size: int) -> None:
        while self.used + size > self._limits.quota and self._closed:
            path, freed = self._closed[0]
            path.unlink(missing_ok=True)
            self._closed.popleft()
            self.deleted_unsent += not path.name.endswith(SENT)
            self.used -= freed
            for folder in (path.parent, path.parent.parent):
                try:
                    folder.rmdir()
                except OSError:
                    break  # other segments are in it
        if self.used + size > self._limits.quota:
            raise OSError(errno.ENOSPC, f"the quota of {self._limits.quota} bytes is full of files that are not complete segments")

    def _recover(self) -> None:
        found = []
        parts = []
        for path in self._folder.glob("*/*/*"):
            if path.name.endswith(NEW):
                path.unlink()
            elif path.name.endswith(PART):
                parts.append(path)
                self.used += path.stat().st_size
            elif path.name.endswith(COMPLETE):
                found.append((path.stat().st_mtime_ns, path.name, path))
                self.used += path.stat().st_size
        self._closed.extend((path, path.stat().st_size) for _, _, path in sorted(found))
        self._make_room(0)
        for part in sorted(parts):
            if any(part.with_name(part.name[: -len(PART)] + end).exists() for end in (COMPLETE, SENT)):
                self.used -= part.stat().st_size
                part.unlink()
                continue
            log.info("%s was left open and is recovered", part)
            self._compress(part)


def _append(file: BinaryIO, text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[file.write(left) :]  # a disk that becomes full takes a part, and fails at the next
