"""The checkpoint of an asset: its latest batches, and its state after each of them.

A folder for each asset has append-only segment files. A record is framed by its length and CRC-32 and holds the whole state, so the last
complete record is the position to continue from. A segment is deleted when all its batches are too old for a replay. The rest of a damaged
segment is skipped. A batch that could not be written is written with the next.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgeml.storage.regular_files import plain_bytes

log = logging.getLogger(__name__)

SEGMENT_BYTES = 256 * 1024
"""Length at which a new segment begins; up to that much is kept beyond the needs of a replay."""
UNWRITTEN_BYTES = 1_000_000
"""Records that wait for disk space; beyond this the oldest are dropped."""
_FRAME = struct.Struct("<II")
_MAGIC = "edgeml checkpoint 1"


class SentBatch(NamedTuple):
    """A batch as it was sent: its number, event time of its last row (ns), the encoded message."""

    seq: int
    end_ns: int
    payload: bytes


class CheckpointData(NamedTuple):
    """The latest saved state, JSON-able, and the saved batches, by number."""

    state: dict[str, Any]
    batches: list[SentBatch]


class _Record(msgspec.Struct, array_like=True):
    state: bytes
    seq: int = -1
    end_ns: int = 0
    payload: bytes = b""


class Checkpoint:
    """The files of one asset and one configuration; with another configuration the asset starts from the beginning.

    Args:
        work: the component's directory.
        asset: the asset's name.
        configuration: the options that the content depends on, JSON-able.
    """

    def __init__(self, work: Path, asset: str, configuration: Any) -> None:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", asset)[:40] + "-" + hashlib.sha256(asset.encode()).hexdigest()[:8]
        self.path = work / f"asset-{name}"
        self._former_path = work / f"asset-{name}.json"
        self._digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
        self._head = _framed(json.dumps({"format": _MAGIC, "digest": self._digest}).encode())
        self._segments: list[tuple[Path, int]] = []  # oldest first, each with the number of its last batch
        self._open: Path | None = None  # the segment that is appended to; None: the next record begins one
        self._newest = -1
        self._unwritten: deque[bytes] = deque()

    def load(self) -> CheckpointData | None:
        """The latest saved state, or None if there is none for this configuration."""
        state, batches = b"", {}
        try:
            for path in sorted(self.path.glob("*.log")):
                last = -1
                for record in self._read(path):
                    state = record.state or state
                    if record.payload:
                        batches[record.seq] = SentBatch(record.seq, record.end_ns, record.payload)
                        last = max(last, record.seq)
                self._segments.append((path, last))
            if not state:
                return self._former()
            # Of several batches only the last has the state: without it, the rows before are read again under the same numbers.
            known = dict(json.loads(state))
            return CheckpointData(known, [batches[seq] for seq in sorted(batches) if seq < known["next"]])
        except _OtherConfiguration:
            log.info("%s is of another configuration; this asset starts from the beginning", self.path)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as fault:
            log.warning("%s cannot be read (%r); this asset starts from the beginning", self._former_path, fault)
        self.delete()
        return None

    def save(self, state: dict[str, Any], batches: Sequence[SentBatch] = (), oldest: int = 0, durable: bool = False) -> None:
        """Append the state, and the batches that led to it: all of them, or none.

        Args:
            oldest: the number of the oldest batch that is still needed.
            durable: sync it to the disk, so that it survives a power cut.

        Raises:
            OSError: it cannot be written; it is retried with the next.
        """
        *before, last = batches or ((),)
        records = [*(_Record(b"", *batch) for batch in before), _Record(json.dumps(state).encode(), *last)]
        self._unwritten.append(b"".join(_framed(msgspec.msgpack.encode(record)) for record in records))
        self._newest = max(self._newest, records[-1].seq)
        while sum(map(len, self._unwritten)) > UNWRITTEN_BYTES:
            self._unwritten.popleft()
        if self._open is None:
            self._open = self._begin_segment()
            self._delete(oldest)
        size = self._append(self._open, durable)
        self._unwritten.clear()
        self._segments[-1] = self._open, self._newest
        if size >= SEGMENT_BYTES:
            self._open = None
        self._former_path.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the checkpoint."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self._former_path.unlink()
        self._segments, self._open = [], None

    def _begin_segment(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        number = max((int(path.stem) for path in self.path.glob("*.log") if path.stem.isdecimal()), default=-1) + 1
        path = self.path / f"{number:010d}.log"
        path.touch(exist_ok=False)
        self._segments.append((path, -1))
        return path

    def _append(self, path: Path, durable: bool) -> int:
        """Write the records that wait; returns the size of the segment."""
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            data = b"".join(self._unwritten) if end else self._head + b"".join(self._unwritten)
            try:
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
                if durable:
                    for each in (file.fileno(), self.path, self.path.parent):
                        _sync(each)
            except OSError:
                self._open = None  # records behind half a record could not be read
                file.truncate(end)
                self._open = path
                raise
        return end + len(data)

    def _delete(self, oldest: int) -> None:
        while len(self._segments) > 1 and self._segments[0][1] < oldest:
            self._segments[0][0].unlink(missing_ok=True)
            del self._segments[0]

    def _read(self, path: Path) -> Iterator[_Record]:
        try:
            frames = _frames(plain_bytes(path), path)
            head = next(frames, None)
            if head is None:
                return
            if json.loads(head) != json.loads(self._head[_FRAME.size :]):
                raise _OtherConfiguration
            for body in frames:
                yield msgspec.msgpack.decode(body, type=_Record)
        except (OSError, ValueError, msgspec.MsgspecError) as fault:
            log.warning("%s cannot be read (%r); the rest of it is skipped", path, fault)

    def _former(self) -> CheckpointData | None:
        """The checkpoint of version 0.1 and earlier: one JSON file."""
        try:
            stored = json.loads(plain_bytes(self._former_path))
        except FileNotFoundError:
            return None
        if stored["digest"] != self._digest:
            raise _OtherConfiguration
        state = dict(stored["content"])
        batches = [SentBatch(int(seq), int(end), base64.b64decode(payload, validate=True)) for seq, end, payload in state.pop("pending")]
        return CheckpointData(state, batches)


class _OtherConfiguration(Exception):
    pass


def _framed(body: bytes) -> bytes:
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def _frames(data: bytes, path: Path) -> Iterator[bytes]:
    """The bodies up to the end, or to the first torn or altered one."""
    at = 0
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        body = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(body) < length or zlib.crc32(body) != crc:
            break
        at += _FRAME.size + length
        yield body
    if at < len(data):
        log.info("%s: its last %d bytes are no complete record and are skipped", path, len(data) - at)


def _sync(file: Path | int) -> None:
    if isinstance(file, int):
        os.fsync(file)
        return
    opened = os.open(file, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
