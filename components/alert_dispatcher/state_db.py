"""State that survives a restart, in one SQLite file.

All writes of one step are one transaction. If the process is killed between two steps, it continues after the replay as if it had not
been. Write-ahead log: a killed process loses nothing. A transaction with a decision is synced, and with it all before it. The others are
not, so a power cut may lose the last of them: results since the last decision, and the note that a message was sent.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from alert_dispatcher.state_schema import create_or_migrate
from edgeml.alarms.alarm_policy import Alarm, PolicyState
from edgeml.cloud.outbox import Outbox, OutboxOptions
from edgeml.errors import EdgemlError
from edgeml.messages import Alert
from edgeml.storage.disk_reserve import DiskReserve
from edgeml.storage.sqlite_file import open_database

log = logging.getLogger(__name__)

MAX_ALARMS = 10_000
RESERVE_WAL = 6_000_000
RESERVE_ALERT = 8_000
"""Bytes of the disk reserve: for the write-ahead log, which is reused from 1,000 pages of 4 kB on, and for each alert in all tables."""
ALERTS_BETWEEN_PRUNING = 500


class StateDbError(EdgemlError):
    """The state cannot be read or written."""


class SavedPolicy(NamedTuple):
    asset: str
    model: str
    model_version: str
    state: PolicyState


class PendingAlert(NamedTuple):
    """An alert that waits for its actions, or for its publication.

    Attributes:
        json: the alert as JSON, without `stream` and `seq`, which are known when it is published.
        event_ns: event time of the alert.
        decided_ns: wall-clock time of the decision.
    """

    no: int
    alert: Alert
    json: bytes
    event_ns: int
    decided_ns: int


class CommandRow(NamedTuple):
    """A command. `status` is `open`, the machine's answer, or how the command ended here (see `actions.command`)."""

    id: str
    alarm: str
    asset: str
    action: str
    issued_ns: int
    timeout_s: float
    status: str
    send_count: int


class StateDb:
    """The SQLite file at `path`. A damaged file is set aside and replaced by an empty one.

    A file beside it reserves disk space for `options.reserve_alerts` alerts. The reserve is released when a write finds the disk full.

    Attributes:
        outbox: messages for IoT Core, in the same file.

    Raises:
        StateDbError: the file cannot be opened or written; also by every method.
    """

    def __init__(self, path: Path, options: OutboxOptions, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._ready = False
        size = RESERVE_WAL + RESERVE_ALERT * options.reserve_alerts if options.reserve_alerts else 0
        self.reserve = DiskReserve(path.with_suffix(".reserve"), size, int(options.keep_free_mb * 1e6))
        self._db = self._open(path)
        self.outbox = Outbox(self, options, monotonic)
        self.outbox.short = self.reserve.short
        self._ready = True

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            return open_database(
                path, create_or_migrate, synchronous="NORMAL", wait_s=5.0, lost="open alarms and queued messages are lost; check the disk"
            )
        except sqlite3.DatabaseError as fault:
            raise self._error(fault) from None

    def close(self) -> None:
        """Close the file; an open transaction is rolled back."""
        self._db.close()

    def check_disk(self, now: float) -> None:
        """Update the free space that the outbox may use."""
        self.outbox.short = self.reserve.look(now)

    @property
    def faults(self) -> tuple[str, ...]:
        """Faults of the disk and the outbox, one sentence each."""
        faults = []
        if self.reserve.short:
            faults.append(f"the disk of {self._path.parent} is almost full: results for the cloud are thinned out; free some space")
        refused = self.outbox.dropped["alerts: refused"]
        if refused:
            faults.append(f"{refused} alerts for the cloud were refused because the outbox is full; check the link, or raise outbox.max_mb")
        large = self.outbox.dropped["alerts: too large"]
        if large:
            faults.append(f"{large} alerts are too large for the cloud and were published on this device only; shorten the names in them")
        return tuple(faults)

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[None]:
        """Commit all writes inside together, or none. A transaction inside another is part of it.

        Args:
            durable: sync the transaction, and all before it, to the disk, so that a power cut does not undo it.
        """
        if self._db.in_transaction:
            yield
            return
        self.do(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self.do("BEGIN IMMEDIATE")
        try:
            yield
            self.do("COMMIT")
        except BaseException:
            if self._ready:
                self.outbox.rolled_back()
            try:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            except sqlite3.Error as fault:
                log.debug("rolling back failed: %s", fault)
            raise

    # -- policies, and the position in each producer's stream

    def policies(self) -> list[SavedPolicy]:
        rows = self.do("SELECT asset, model, model_version, state FROM policies")
        found = [(row, _decoded(row[3], PolicyState, f"the policy of {row[0]} and {row[1]}")) for row in rows]
        return [SavedPolicy(row[0], row[1], row[2], state) for row, state in found if state is not None]

    def save_policy(self, saved: SavedPolicy) -> None:
        state = msgspec.json.encode(saved.state).decode()
        self.do("INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?)", saved.asset, saved.model, saved.model_version, state)

    def delete_policy(self, asset: str, model: str) -> None:
        self.do("DELETE FROM policies WHERE asset = ? AND model = ?", asset, model)

    def stream_positions(self) -> list[tuple[str, str, int, int]]:
        """(asset, stream, next sequence number, end of the last block in ns)."""
        rows = self.do("SELECT asset, stream, next_seq, end_ns FROM stream_positions")
        return [row for row in rows if _is_valid(row, tuple[str, str, int, int], "a stream position")]

    def save_stream_position(self, asset: str, stream: str, next_seq: int, end_ns: int) -> None:
        self.do("INSERT OR REPLACE INTO stream_positions VALUES (?, ?, ?, ?)", asset, stream, next_seq, end_ns)

    # -- alarms, and the alerts about them

    def alarm(self, alarm_id: str) -> Alarm | None:
        rows = self.do("SELECT alarm FROM alarms WHERE id = ?", alarm_id)
        return _decoded(rows[0][0], Alarm, "an alarm") if rows else None

    def save_alarm(self, alarm: Alarm) -> None:
        self.do("INSERT OR REPLACE INTO alarms VALUES (?, ?, ?)", alarm.id, alarm.pending_at, msgspec.json.encode(alarm).decode())

    def add_alert(self, alert_json: bytes, event_ns: int, decided_ns: int) -> None:
        """Queue an alert for its actions and for publication."""
        text = alert_json.decode()
        self.do("INSERT INTO pending_alerts (alert, event_ns, decided_ns) VALUES (?, ?, ?)", text, event_ns, decided_ns)
        ((no,),) = self.do("SELECT last_insert_rowid()")
        if no % ALERTS_BETWEEN_PRUNING == 0:
            self.prune()

    def alerts_to_dispatch(self) -> list[PendingAlert]:
        """Alerts that no action has got yet, in order."""
        return self._pending("WHERE NOT dispatched ORDER BY no")

    def alerts_to_publish(self, limit: int) -> list[PendingAlert]:
        """The oldest unpublished alerts, in order; alerts that are not dispatched yet are left out."""
        return self._pending("WHERE dispatched ORDER BY no LIMIT ?", limit)

    @property
    def unpublished_count(self) -> int:
        """Number of alerts that were dispatched and not published. None of them is ever dropped."""
        ((count,),) = self.do("SELECT COUNT(*) FROM pending_alerts WHERE dispatched")
        return int(count)

    def _pending(self, where: str, *values: int) -> list[PendingAlert]:
        found = []
        for no, text, event_ns, decided_ns in self.do(f"SELECT no, alert, event_ns, decided_ns FROM pending_alerts {where}", *values):
            valid = isinstance(event_ns, int) and isinstance(decided_ns, int)
            alert = _decoded(text, Alert, "an alert") if valid else None
            if alert is None:
                self.do("DELETE FROM pending_alerts WHERE no = ?", no)
            else:
                found.append(PendingAlert(no, alert, text.encode() if isinstance(text, str) else bytes(text), event_ns, decided_ns))
        return found

    def mark_dispatched(self, no: int) -> None:
        self.do("UPDATE pending_alerts SET dispatched = 1 WHERE no = ?", no)

    def delete_published(self, no: int) -> None:
        """Delete an alert after its publication, unless it is not dispatched yet."""
        self.do("DELETE FROM pending_alerts WHERE no = ? AND dispatched", no)

    def prune(self) -> None:
        """Keep the open alarms, the newest of the cleared ones, and the commands of both."""
        self.do(
            "DELETE FROM alarms WHERE id NOT IN (SELECT id FROM alarms ORDER BY rowid DESC LIMIT ?) AND alarm LIKE ?",
            MAX_ALARMS,
            '%"state":"cleared"%',
        )
        self.do("DELETE FROM commands WHERE status <> 'open' AND alarm NOT IN (SELECT id FROM alarms)")

    # -- commands

    def add_command(self, row: CommandRow) -> bool:
        """Save a new command; False if one with its id is known."""
        if self.command(row.id) is not None:
            return False
        self.do(f"INSERT INTO commands VALUES ({', '.join('?' * len(row))})", *row)
        return True

    def command(self, command_id: str) -> CommandRow | None:
        rows = self.do("SELECT * FROM commands WHERE id = ?", command_id)
        return CommandRow(*rows[0]) if rows and _is_valid(rows[0], CommandRow, "a command") else None

    def open_commands(self) -> list[CommandRow]:
        rows = self.do("SELECT * FROM commands WHERE status = 'open' ORDER BY issued_ns")
        return [CommandRow(*row) for row in rows if _is_valid(row, CommandRow, "a command")]

    def set_command_status(self, command_id: str, status: str) -> None:
        self.do("UPDATE commands SET status = ? WHERE id = ?", status, command_id)

    def count_sending(self, command_id: str) -> None:
        self.do("UPDATE commands SET send_count = send_count + 1 WHERE id = ?", command_id)

    # -- other values; a key begins with the name of the action that it belongs to

    def set_value(self, key: str, value: Any) -> None:
        """Save a JSON-able value."""
        self.do("INSERT OR REPLACE INTO key_values VALUES (?, ?)", key, msgspec.json.encode(value).decode())

    def get_value(self, key: str, kind: Any = Any) -> Any:
        """The saved value, or None if there is none or it is no `kind`."""
        rows = self.do("SELECT value FROM key_values WHERE key = ?", key)
        return _decoded(rows[0][0], kind, key) if rows else None

    def delete_value(self, key: str) -> None:
        self.do("DELETE FROM key_values WHERE key = ?", key)

    # -- SQL

    def do(self, sql: str, *values: Any) -> list[Any]:
        """Run one statement; the outbox, whose tables are in this file, uses it too."""
        try:
            return self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, UnicodeError) as fault:
            raise self._error(fault) from None

    def _error(self, fault: Exception) -> StateDbError:
        # On a full disk, SQLite's shared memory beside the log fails with an I/O error.
        if "full" in str(fault) or ("I/O" in str(fault) and self.reserve.short):
            self.reserve.release()
        return StateDbError(f"the state in {self._path} cannot be used ({fault}); check its permissions and the free space")


def _decoded(text: Any, kind: Any, name: str) -> Any:
    """The decoded JSON of a cell, or None with a line in the log: one damaged row must not hide all other alarms."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TypeError, UnicodeError, RecursionError) as fault:
        log.error("%s in the state cannot be read (%s) and is skipped", name, fault)
        return None


def _is_valid(row: Any, kind: Any, name: str) -> bool:
    try:
        msgspec.convert(row, kind)
    except msgspec.ValidationError as fault:
        log.error("%s in the state cannot be read (%s) and is skipped", name, fault)
        return False
    return True
