"""Sends complete captured files to IoT Core, one chunk at a time, the oldest file first.

The files themselves are the queue; a small file beside them has the position in the current one. This is the queue of an
`edgeml.cloud.sender.CloudSender`: one class, one entry at a time. It has no thread, so a publish without an answer delays rows by a second
or two.
"""

from __future__ import annotations

import gzip
import logging
import secrets
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from edgeml.cloud.outbox import OutboxMessage, OutboxOptions, entry_id, same_id
from edgeml.cloud.sender import CloudSender
from edgeml.ipc.bus import Bus
from edgeml.messages import topics
from edgeml.storage.regular_files import plain_bytes
from edgeml.timestamps import boot_id
from sensor_ingestion.capture.chunks import FIRST_ROWS, Segment, time_of
from sensor_ingestion.capture.segment_store import COMPLETE
from sensor_ingestion.options import CaptureOptions

log = logging.getLogger(__name__)

STATE_FILE = "upload.json"
MAX_ROWS = 100_000
"""Rows with which a chunk is tried."""
CHECK_INTERVAL_S = 1.0
"""Interval of checks for a file to send."""


class Files(Protocol):
    """Access to the complete segments; see `recorder.CaptureRecorder`."""

    def unsent(self) -> list[Path]: ...

    def sent(self, path: Path) -> None: ...


class UploadPosition(msgspec.Struct):
    """The position of the upload: the same position gives the same chunk with the same number and id.

    Attributes:
        id: of this device's chunks.
        no: number of the next chunk.
        segment, row: its file, and its first row.
        at_most: rows with which it is tried.
        key: makes ids unpredictable; empty: not generated yet.
    """

    id: str
    no: int = 1
    segment: str = ""
    row: int = 0
    at_most: int = FIRST_ROWS
    key: str = ""


class _Open(NamedTuple):
    path: Path
    segment: Segment


class Uploader:
    """Call `tick` when it is due, and `echo` with each message from IoT Core on its topic.

    Args:
        work: the folder of the position.

    Attributes:
        skipped: file that cannot be sent -> a sentence.
    """

    def __init__(self, options: CaptureOptions, work: Path, thing: str, files: Files, bus: Bus, monotonic: Callable[[], float]) -> None:
        self._thing, self._files, self._monotonic = thing, files, monotonic
        self._topic, self._pause_s = topics.cloud_captures(thing), 1.0 / options.upload_rate
        self._path = work / STATE_FILE
        self._position = self._load()
        self._open: _Open | None = None
        self._entry: OutboxMessage | None = None
        self._rows = 0
        self._due = monotonic()
        self._write_fault = ""
        self.skipped: dict[str, str] = {}
        self._sender = CloudSender(
            self,
            OutboxOptions(),
            bus.publish_cloud,
            bus.resubscribe_unmonitored,
            {"captures": options.upload_confirmation == "echo"},
            lambda name: "capture.upload_confirmation",
            monotonic,
        )

    # -- called by the service

    def tick(self, now: float) -> float:
        """Send what is due; returns the seconds until the next call."""
        wait = self._sender.tick(now)
        return min(wait, self._due - now if self._due > now else CHECK_INTERVAL_S)

    def echo(self, payload: bytes) -> None:
        """A message has come back from IoT Core."""
        self._sender.echo(payload)

    @property
    def faults(self) -> tuple[str, ...]:
        """Faults that a person must correct, one sentence each."""
        return (*self._sender.faults, *([self._write_fault] if self._write_fault else []), *list(self.skipped.values())[:5])

    @property
    def waiting(self) -> int:
        """Number of files to send."""
        return len(self._unsent())

    # -- called by the sender

    @property
    def counts(self) -> tuple[int, ...]:
        return (self.waiting,)

    def first(self, kind: int, after: int = 0) -> OutboxMessage | None:
        # One is in flight at a time, with or without echoes: captured rows are not urgent.
        if after >= self._position.no or self._monotonic() < self._due:
            return None
        while self._entry is None:
            if not self._open_next():
                return None
            self._entry = self._next_chunk()
        return self._entry

    def entry(self, no: int) -> OutboxMessage | None:
        return self._entry if self._entry is not None and self._entry.no == no else None

    def delivered(self, no: int) -> bool:
        if self.entry(no) is None:
            return False
        self._entry = None
        self._position.no, self._position.row = no + 1, self._position.row + self._rows
        self._position.at_most = max(FIRST_ROWS, 2 * self._rows)
        self._due = self._monotonic() + self._pause_s
        self._save()
        self._finish()
        return True

    def id_of(self, entry: OutboxMessage) -> str:
        return entry_id(self._position.id, self._position.key, entry)

    def number_of(self, given: str) -> int | None:
        return self._entry.no if self._entry is not None and same_id(self.id_of(self._entry), given) else None

    # -- files

    def _unsent(self) -> list[Path]:
        return [path for path in self._files.unsent() if path.name not in self.skipped]

    def _open_next(self) -> bool:
        """Open the next file; returns whether there is one."""
        while self._open is None:
            path = next(iter(self._unsent()), None)
            if path is None:
                return False
            try:
                self._open = _Open(path, Segment.read(gzip.decompress(plain_bytes(path))))
            except (OSError, EOFError, zlib.error, ValueError) as fault:
                self._skip(path, f"it cannot be read ({fault})")
                continue
            if self._position.segment != _name(path):
                self._position.segment, self._position.row = _name(path), 0
            self._finish()
        return True

    def _next_chunk(self) -> OutboxMessage | None:
        assert self._open is not None
        if not self._position.key:
            # Saved before it is used: another process would give the same chunk another id.
            self._position.key = secrets.token_hex(32)
            self._save()
        path, segment = self._open
        try:
            payload, self._rows = segment.chunk(self._thing, _name(path), self._position.row, self._position.at_most)
        except ValueError as fault:
            self._skip(path, str(fault))
            return None
        at = time_of(segment.rows[self._position.row])
        return OutboxMessage(self._position.no, self._topic, at, self._monotonic(), boot_id(), payload)

    def _finish(self) -> None:
        """If all rows are delivered, mark the file as sent."""
        if self._open is None or self._position.row < len(self._open.segment.rows):
            return
        path, self._open = self._open.path, None
        try:
            self._files.sent(path)
        except FileNotFoundError:
            pass  # the quota has deleted it meanwhile
        except OSError as fault:
            self._skip(path, f"it is in IoT Core, but cannot be renamed ({fault.strerror})")

    def _skip(self, path: Path, reason: str) -> None:
        self._open = None
        self.skipped[path.name] = f"capture: {path} is not sent to IoT Core: {reason}; copy it yourself, or check its folder"
        log.error("%s", self.skipped[path.name])

    # -- the position

    def _load(self) -> UploadPosition:
        try:
            position = msgspec.json.decode(plain_bytes(self._path), type=UploadPosition)
            position.at_most = max(1, min(position.at_most, MAX_ROWS))
            return position
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            log.warning("%s cannot be read (%s); the current file is sent from its beginning", self._path, fault)
        return UploadPosition(secrets.token_hex(8))

    def _save(self) -> None:
        beside = self._path.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.json.encode(self._position))
            beside.replace(self._path)
            self._write_fault = ""
        except OSError as fault:
            if not self._write_fault:
                log.error("%s cannot be written (%s)", self._path, fault.strerror)
            self._write_fault = (
                f"{self._path} cannot be written ({fault.strerror}); free some space, or a restart sends captured rows again"
            )


def _name(path: Path) -> str:
    return path.name.removesuffix(COMPLETE)
