"""Sends whole captured files to IoT Core, a piece at a time, the oldest file first.

What waits are the files themselves; a small file beside them notes how far the one under way is. `edgeml.cloud.sender` sends, and this is what
it takes from: one class, one entry at a time. Not in a thread of its own: a publish that is not answered holds the rows for a second or so.
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
from sensor_ingestion.capture.segment_store import WHOLE
from sensor_ingestion.options import CaptureOptions

log = logging.getLogger(__name__)

STATE_FILE = "upload.json"
MOST_ROWS = 100_000
"""That a piece is tried with."""
LOOK_S = 1.0
"""How often it is looked whether there is a file to send."""


class Files(Protocol):
    """Where the whole segments are; see `recorder.Recorder`."""

    def unsent(self) -> list[Path]: ...

    def sent(self, path: Path) -> None: ...


class Place(msgspec.Struct):
    """How far it is: with the same place goes the same piece under the same number, and so the same id.

    Attributes:
        id: of this device's pieces.
        no: number of the next piece.
        segment, row: whose it is, and its first row.
        at_most: rows that it is tried with.
        key: by which ids cannot be guessed; empty: it is yet to be drawn.
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
    """Call `tick` when it says, and `echo` with what comes back from IoT Core on its topic.

    Args:
        work: where the place is noted.

    Attributes:
        left_out: by file that cannot be sent: why.
    """

    def __init__(self, options: CaptureOptions, work: Path, thing: str, files: Files, bus: Bus, monotonic: Callable[[], float]) -> None:
        self._thing, self._files, self._monotonic = thing, files, monotonic
        self._topic, self._pause_s = topics.cloud_captures(thing), 1.0 / options.upload_rate
        self._path = work / STATE_FILE
        self._place = self._load()
        self._open: _Open | None = None
        self._entry: OutboxMessage | None = None
        self._rows = 0
        self._due = monotonic()
        self._trouble = ""
        self.left_out: dict[str, str] = {}
        self._delivery = CloudSender(
            self,
            OutboxOptions(),
            bus.publish_cloud,
            bus.renew_unheard,
            {"captures": options.upload_confirmation == "echo"},
            lambda name: "capture.upload_confirmation",
            monotonic,
        )

    # -- what the service calls

    def tick(self, now: float) -> float:
        """Send what is due; returns in how many seconds there may be something to do again."""
        wait = self._delivery.tick(now)
        return min(wait, self._due - now if self._due > now else LOOK_S)

    def echo(self, payload: bytes) -> None:
        """A message has come back from IoT Core."""
        self._delivery.echo(payload)

    @property
    def faults(self) -> tuple[str, ...]:
        """What a person must see to, one sentence each."""
        return (*self._delivery.faults, *([self._trouble] if self._trouble else []), *list(self.left_out.values())[:5])

    @property
    def waiting(self) -> int:
        """Files that are to be sent."""
        return len(self._unsent())

    # -- what the delivery calls

    @property
    def counts(self) -> tuple[int, ...]:
        return (self.waiting,)

    def first(self, kind: int, after: int = 0) -> OutboxMessage | None:
        # One is under way at a time, echoes or not: nothing here is worth hurrying for.
        if after >= self._place.no or self._monotonic() < self._due:
            return None
        while self._entry is None:
            if not self._opened():
                return None
            self._entry = self._next()
        return self._entry

    def entry(self, no: int) -> OutboxMessage | None:
        return self._entry if self._entry is not None and self._entry.no == no else None

    def delivered(self, no: int) -> bool:
        if self.entry(no) is None:
            return False
        self._entry = None
        self._place.no, self._place.row = no + 1, self._place.row + self._rows
        self._place.at_most = max(FIRST_ROWS, 2 * self._rows)
        self._due = self._monotonic() + self._pause_s
        self._save()
        self._finish()
        return True

    def id_of(self, entry: OutboxMessage) -> str:
        return entry_id(self._place.id, self._place.key, entry)

    def number_of(self, given: str) -> int | None:
        return self._entry.no if self._entry is not None and same_id(self.id_of(self._entry), given) else None

    # -- files

    def _unsent(self) -> list[Path]:
        return [path for path in self._files.unsent() if path.name not in self.left_out]

    def _opened(self) -> bool:
        """Whether there is a file to send from."""
        while self._open is None:
            path = next(iter(self._unsent()), None)
            if path is None:
                return False
            try:
                self._open = _Open(path, Segment.read(gzip.decompress(plain_bytes(path))))
            except (OSError, EOFError, zlib.error, ValueError) as fault:
                self._leave_out(path, f"it cannot be read ({fault})")
                continue
            if self._place.segment != _name(path):
                self._place.segment, self._place.row = _name(path), 0
            self._finish()
        return True

    def _next(self) -> OutboxMessage | None:
        assert self._open is not None
        if not self._place.key:
            # On the disk before it is used: another process would give the same piece another id.
            self._place.key = secrets.token_hex(32)
            self._save()
        path, segment = self._open
        try:
            payload, self._rows = segment.piece(self._thing, _name(path), self._place.row, self._place.at_most)
        except ValueError as fault:
            self._leave_out(path, str(fault))
            return None
        at = time_of(segment.rows[self._place.row])
        return OutboxMessage(self._place.no, self._topic, at, self._monotonic(), boot_id(), payload)

    def _finish(self) -> None:
        """All rows are there: the file's name says so."""
        if self._open is None or self._place.row < len(self._open.segment.rows):
            return
        path, self._open = self._open.path, None
        try:
            self._files.sent(path)
        except FileNotFoundError:
            pass  # the quota took it meanwhile
        except OSError as fault:
            self._leave_out(path, f"it is in IoT Core, but cannot be renamed ({fault.strerror})")

    def _leave_out(self, path: Path, why: str) -> None:
        self._open = None
        self.left_out[path.name] = f"capture: {path} is not sent to IoT Core: {why}; copy it yourself, or see to its folder"
        log.error("%s", self.left_out[path.name])

    # -- the place

    def _load(self) -> Place:
        try:
            place = msgspec.json.decode(plain_bytes(self._path), type=Place)
            place.at_most = max(1, min(place.at_most, MOST_ROWS))
            return place
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            log.warning("%s cannot be read (%s); the file that was under way is sent from its beginning", self._path, fault)
        return Place(secrets.token_hex(8))

    def _save(self) -> None:
        beside = self._path.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.json.encode(self._place))
            beside.replace(self._path)
            self._trouble = ""
        except OSError as fault:
            if not self._trouble:
                log.error("%s cannot be written (%s)", self._path, fault.strerror)
            self._trouble = f"{self._path} cannot be written ({fault.strerror}); make room, or a restart sends captured rows again"


def _name(path: Path) -> str:
    return path.name.removesuffix(WHOLE)
