"""The latest rows of each asset on disk, so that its windows survive a restart, even if SensorIngestion restarts too.

Two append-only files an asset: when the newer one is long enough to fill every window, it replaces the older one. While a model holds its
reference, during an alarm, the newer one starts over instead: the reference is in the older one, and must not be replaced by rows of the
fault. Nothing is synced. Rows that a power cut takes away are requested again, or the windows refill.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgeml.errors import MessageError
from edgeml.messages import MAX_PAYLOAD, SensorBatch, decode, encode
from edgeml.storage.asset_filenames import file_name
from edgeml.storage.regular_files import plain_bytes

log = logging.getLogger(__name__)

SUFFIXES = ("newer", "older")
MAX_FILE_BYTES = 16 * 2**20
"""Maximum size of a file. Of a window that needs more, the longest views refill after a restart."""
MAX_UNWRITTEN = 1000
"""Maximum batches kept in memory while they cannot be written."""
_LENGTH = struct.Struct("<I")


def latest_batches(folder: Path) -> Iterator[SensorBatch]:
    """The latest saved batch of each asset in `folder`."""
    found: set[str] = set()
    for suffix in SUFFIXES:
        for path in sorted(folder.glob(f"*.{suffix}")):
            try:
                payloads = list(_payloads(plain_bytes(path)))
            except OSError as fault:
                log.warning("%s cannot be read (%s); newer rows are requested by time", path, fault.strerror)
                continue
            batch = next(filter(None, map(_batch, reversed(payloads))), None)
            if batch is not None and batch.asset not in found and path.stem == file_name(batch.asset):
                found.add(batch.asset)
                yield batch


class _Encoded(NamedTuple):
    payload: bytes
    rows: int


class SavedRows(NamedTuple):
    """The number of rows in `batches`, and the batches, oldest first, which are read as they are taken."""

    rows: int
    batches: Iterator[SensorBatch]


class RecentRows:
    """One asset's batches, oldest first; between `rows` and twice as many rows, in files of at most `MAX_FILE_BYTES`.

    Args:
        folder: in the component's work directory.
        rows: rows of the longest window.
    """

    def __init__(self, folder: Path, asset: str, rows: int) -> None:
        self._asset, self._rows = asset, rows
        self._newer, self._older = (folder / f"{file_name(asset)}.{suffix}" for suffix in SUFFIXES)
        self._rows_in_newer = 0
        self._unwritten: list[_Encoded] = []
        self._has_gap = False
        self._fault = ""

    @property
    def fault(self) -> str:
        """A sentence if rows cannot be written, else empty."""
        sentence = f"{self._asset}: its rows cannot be saved ({self._fault}); free some space, or its windows refill after a restart"
        return sentence if self._fault else ""

    def load(self) -> SavedRows:
        """The saved batches; a torn end, and anything else that is no batch of this asset, is skipped."""
        # Decoded one by one: a batch of many channels takes several times the memory of its payload.
        older, newer = list(self._read(self._older)), list(self._read(self._newer))
        self._rows_in_newer = sum(each.rows for each in newer)
        batches = (_batch(each.payload) for each in (*older, *newer))
        return SavedRows(sum(each.rows for each in older) + self._rows_in_newer, (batch for batch in batches if batch is not None))

    def append(self, batch: SensorBatch, payload: bytes, holds: bool = False) -> None:
        """Append a batch. One that cannot be written is logged once and retried with the next: a hole would look like a gap in the rows.

        Args:
            payload: the encoded batch, as it arrived.
            holds: whether the model holds its reference.
        """
        if payload[:1] == b"{" or len(payload) > MAX_PAYLOAD:
            payload = encode(batch)  # JSON text takes more bytes
        self._unwritten.append(_Encoded(payload, len(batch.times) // 8))
        if len(self._unwritten) > min(self._rows, MAX_UNWRITTEN):
            del self._unwritten[0]
            self._has_gap = True
        try:
            if self._has_gap:
                self.delete()
            while self._unwritten:
                self._write(self._unwritten[0], holds)
                del self._unwritten[0]
        except OSError as fault:
            if not self._fault:
                log.warning("%s cannot be written (%s); after a restart its windows refill", self._newer, fault.strerror)
            self._fault = fault.strerror or type(fault).__name__
            return
        self._fault = ""

    def delete(self) -> None:
        """Delete the saved rows."""
        for path in (self._older, self._newer):
            path.unlink(missing_ok=True)
        self._rows_in_newer, self._has_gap = 0, False

    def _write(self, batch: _Encoded, holds: bool) -> None:
        self._newer.parent.mkdir(parents=True, exist_ok=True)
        if self._rows_in_newer >= self._rows:
            self._make_room(holds)
        with self._newer.open("ab", buffering=0) as file:
            end = file.tell()
            if end + _LENGTH.size + len(batch.payload) > MAX_FILE_BYTES:
                self._rows_in_newer = self._rows  # the next batch finds room
            if file.write(_LENGTH.pack(len(batch.payload)) + batch.payload) < _LENGTH.size + len(batch.payload):
                file.truncate(end)  # nothing behind a torn batch could be read
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._rows_in_newer += batch.rows

    def _make_room(self, holds: bool) -> None:
        if holds and self._older.exists():
            self._newer.unlink()
        else:
            self._newer.replace(self._older)
        self._rows_in_newer = 0

    def _read(self, path: Path) -> Iterator[_Encoded]:
        try:
            data = plain_bytes(path)
        except FileNotFoundError:
            return
        except OSError as fault:
            log.warning("%s cannot be read (%s); its windows refill", path, fault.strerror)
            return
        at = 0
        for payload in _payloads(data):
            at += _LENGTH.size + len(payload)
            batch = _batch(payload)
            if batch is not None and batch.asset == self._asset:
                yield _Encoded(payload, len(batch.times) // 8)
        if at < len(data):
            log.info("%s: its last %d bytes are no complete batch and are skipped", path, len(data) - at)
            os.truncate(path, at)


def _payloads(data: bytes) -> Iterator[bytes]:
    """The complete payloads, up to a torn end."""
    at = 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        payload = data[at + _LENGTH.size : at + _LENGTH.size + length]
        if length > MAX_PAYLOAD or len(payload) < length:
            return
        at += _LENGTH.size + length
        yield payload


def _batch(payload: bytes) -> SensorBatch | None:
    try:
        message = decode(payload)
        if isinstance(message, SensorBatch):
            message.arrays()
            return message
    except MessageError:
        pass
    return None
