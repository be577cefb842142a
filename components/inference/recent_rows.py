"""The latest rows of each asset on disk: its windows outlive a restart, even when SensorIngestion was restarted with it.

Two files an asset, appended to and never rewritten: when the newer one is long enough to fill every window, it takes the older one's place.
Nothing is synced. What a power cut takes away is asked for again, or the windows fill anew.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from edgeml.errors import MessageError
from edgeml.messages import MAX_PAYLOAD, SensorBatch, decode, encode
from edgeml.storage.asset_filenames import file_name
from edgeml.storage.regular_files import plain_bytes

log = logging.getLogger(__name__)

WHICH = ("newer", "older")
_LENGTH = struct.Struct("<I")


def latest(folder: Path) -> Iterator[SensorBatch]:
    """The latest batch of each asset that is remembered in `folder`."""
    found: set[str] = set()
    for which in WHICH:
        for path in sorted(folder.glob(f"*.{which}")):
            try:
                payloads = list(_payloads(plain_bytes(path)))
            except OSError as fault:
                log.warning("%s: %s; what came since is asked for by time", path, fault.strerror)
                continue
            batch = next(filter(None, map(_batch, reversed(payloads))), None)
            if batch is not None and batch.asset not in found and path.stem == file_name(batch.asset):
                found.add(batch.asset)
                yield batch


def end_of(batch: SensorBatch) -> int:
    """Event time of its latest row in line, ns; 0: it has none."""
    times, _, quality = batch.arrays()
    sound = batch.plausible_times(quality)
    return int((times if sound is None else times[sound]).max(initial=0))


class RecentRows:
    """One asset's batches, oldest first; between `rows` and twice as many.

    Args:
        folder: in the component's work directory.
        rows: what the longest window needs.
    """

    def __init__(self, folder: Path, asset: str, rows: int) -> None:
        self._asset, self._rows = asset, rows
        self._newer, self._older = (folder / f"{file_name(asset)}.{which}" for which in WHICH)
        self._held = 0
        self._waiting: list[SensorBatch] = []
        self._hole = False
        self._fault = ""

    @property
    def fault(self) -> str:
        """What cannot be written, or empty."""
        sentence = f"{self._asset}: its rows cannot be remembered ({self._fault}); make room, or its windows fill anew after a restart"
        return sentence if self._fault else ""

    def load(self) -> list[SensorBatch]:
        """What was kept; a torn end, and what is no batch of this asset, is left out."""
        older, newer = list(self._read(self._older)), list(self._read(self._newer))
        self._held = sum(len(batch.times) // 8 for batch in newer)
        return [*older, *newer]

    def keep(self, batch: SensorBatch) -> None:
        """Append one. What cannot be written is said once and tried again with the next: a hole would pass for a gap in the rows."""
        self._waiting.append(batch)
        if len(self._waiting) > self._rows:
            del self._waiting[0]
            self._hole = True
        try:
            if self._hole:
                self.forget()
            while self._waiting:
                self._append(self._waiting[0])
                del self._waiting[0]
        except OSError as fault:
            if not self._fault:
                log.warning("%s: %s; after a restart its windows fill anew", self._newer, fault.strerror)
            self._fault = fault.strerror or type(fault).__name__
            return
        self._fault = ""

    def forget(self) -> None:
        """Begin anew."""
        for path in (self._older, self._newer):
            path.unlink(missing_ok=True)
        self._held, self._hole = 0, False

    def _append(self, batch: SensorBatch) -> None:
        payload = encode(batch)
        self._newer.parent.mkdir(parents=True, exist_ok=True)
        if self._held >= self._rows:
            self._newer.replace(self._older)
            self._held = 0
        with self._newer.open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(_LENGTH.pack(len(payload)) + payload) < _LENGTH.size + len(payload):
                file.truncate(end)  # nothing behind a torn batch could be read again
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._held += len(batch.times) // 8

    def _read(self, path: Path) -> Iterator[SensorBatch]:
        try:
            data = plain_bytes(path)
        except FileNotFoundError:
            return
        except OSError as fault:
            log.warning("%s: %s; its windows fill anew", path, fault.strerror)
            return
        at = 0
        for payload in _payloads(data):
            at += _LENGTH.size + len(payload)
            batch = _batch(payload)
            if batch is not None and batch.asset == self._asset:
                yield batch
        if at < len(data):
            log.info("%s: its last %d bytes are no whole batch and are left out", path, len(data) - at)
            os.truncate(path, at)


def _payloads(data: bytes) -> Iterator[bytes]:
    """The whole ones, up to a torn end."""
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
