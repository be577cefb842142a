"""What the component remembers over restarts, in one SQLite file.

All writes of one step are one transaction, so that a process that is killed between any two steps goes on, after the producers have
replayed, as if it had not been. Write-ahead log: a killed process loses nothing. A transaction with a decision is synced, and with it all
before it; the others are not, so a power cut may lose the last of them: results since the last decision, and what was noted as sent.
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

from edgeml.alarms.alarm_policy import Alarm
from edgeml.cloud.outbox import Outbox, OutboxOptions
from edgeml.errors import EdgemlError
from edgeml.messages import Alert
from edgeml.storage.disk_reserve import DiskReserve
from edgeml.storage.sqlite_file import open_database

log = logging.getLogger(__name__)

SCHEMA = 1
ALARMS_KEPT = 10_000
RESERVE_WAL = 6_000_000
RESERVE_ALERT = 8_000
"""Bytes of the reserve: for the write-ahead log, which is used anew at 1,000 pages of 4 kB, and for each alert in all tables."""
ALERTS_BETWEEN_PRUNING = 500

_TABLES = """
CREATE TABLE policies (asset TEXT, model TEXT, model_version TEXT, state TEXT, PRIMARY KEY (asset, model));
CREATE TABLE positions (asset TEXT PRIMARY KEY, stream TEXT, seq INTEGER, end_ns INTEGER);
CREATE TABLE alarms (id TEXT PRIMARY KEY, pending_at INTEGER, body TEXT);
CREATE TABLE outbox (no INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT, decided_ns INTEGER, acted INTEGER DEFAULT 0);
CREATE TABLE commands (
    id TEXT PRIMARY KEY, alarm TEXT, asset TEXT, action TEXT, issued_ns INTEGER, timeout_s REAL, status TEXT, sent INTEGER DEFAULT 0
);
"""

# Not of the layout above: a file of a version that had it not gets it, and one that is older ignores it.
_MEMORY = "CREATE TABLE IF NOT EXISTS memory (key TEXT PRIMARY KEY, value TEXT)"


def _lay_out(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
    elif version != SCHEMA:
        raise sqlite3.DatabaseError(f"its layout is {version}, this component knows {SCHEMA}")
    db.execute(_MEMORY)


class StateDbError(EdgemlError):
    """The state cannot be read or written."""


class SavedPolicy(NamedTuple):
    asset: str
    model: str
    model_version: str
    state: dict[str, Any]


class PendingAlert(NamedTuple):
    """An alert that is not yet acted upon, or not yet published; `decided_ns` is wall-clock time."""

    no: int
    alert: Alert
    decided_ns: int


class CommandRow(NamedTuple):
    """A command; `status` is `open`, what the machine answered, or what became of it here (see `actions.command`)."""

    id: str
    alarm: str
    asset: str
    action: str
    issued_ns: int
    timeout_s: float
    status: str
    sent: int


class StateDb:
    """The SQLite file at `path`. One that is damaged is put aside and a new one begun.

    Beside it a file keeps room on the disk for `options.reserve_alerts` alerts; it is given up when a write finds the disk full.

    Attributes:
        outbox: what is to go to IoT Core, in the same file.

    Raises:
        StateDbError: it cannot be opened or written; also by every method.
    """

    def __init__(self, path: Path, options: OutboxOptions, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._begun = False
        size = RESERVE_WAL + RESERVE_ALERT * options.reserve_alerts if options.reserve_alerts else 0
        self.reserve = DiskReserve(path.with_suffix(".reserve"), size, int(options.keep_free_mb * 1e6))
        self._db = self._open(path)
        self.outbox = Outbox(self, options, monotonic)
        self.outbox.short = self.reserve.short
        self._begun = True

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            return open_database(path, _lay_out, synchronous="NORMAL", wait_s=5.0, lost="alarms begin anew")
        except sqlite3.DatabaseError as fault:
            raise self._error(fault) from None

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        self._db.close()

    def look(self, now: float) -> None:
        """See how the disk is."""
        self.outbox.short = self.reserve.look(now)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the disk or the outbox, one sentence each."""
        faults = []
        if self.reserve.short:
            faults.append(f"the disk of {self._path.parent} is short: results for the cloud are thinned out; free some space")
        refused = self.outbox.dropped["alerts: refused"]
        if refused:
            faults.append(f"{refused} alerts for the cloud were refused, the outbox is full; see to the link, or raise outbox.max_mb")
        large = self.outbox.dropped["alerts: too large"]
        if large:
            faults.append(f"{large} alerts are too large for the cloud and were published here alone; shorten the names in them")
        return tuple(faults)

    @contextmanager
    def transaction(self, durable: bool = False) -> Iterator[None]:
        """All writes inside happen, or none. One inside another is part of it.

        Args:
            durable: with its end it is on the disk, and all before it, whatever becomes of the power.
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
            if self._begun:
                self.outbox.rolled_back()
            try:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            except sqlite3.Error as fault:
                log.debug("rolling back: %s", fault)
            raise

    # -- policies and where each producer's stream was

    def policies(self) -> list[SavedPolicy]:
        rows = self.do("SELECT asset, model, model_version, state FROM policies")
        return [SavedPolicy(row[0], row[1], row[2], state) for row in rows if (state := _sound(row[3], dict[str, Any], "a policy"))]

    def keep_policy(self, kept: SavedPolicy) -> None:
        state = msgspec.json.encode(kept.state).decode()
        self.do("INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?)", kept.asset, kept.model, kept.model_version, state)

    def forget_policy(self, asset: str, model: str) -> None:
        self.do("DELETE FROM policies WHERE asset = ? AND model = ?", asset, model)

    def positions(self) -> list[tuple[str, str, int, int]]:
        """(asset, stream, next number, end of the last block in ns)."""
        rows = self.do("SELECT asset, stream, seq, end_ns FROM positions")
        return [row for row in rows if _fits(row, tuple[str, str, int, int], "a position")]

    def keep_position(self, asset: str, stream: str, seq: int, end_ns: int) -> None:
        self.do("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)", asset, stream, seq, end_ns)

    # -- alarms and the alerts about them

    def alarm(self, alarm_id: str) -> Alarm | None:
        rows = self.do("SELECT body FROM alarms WHERE id = ?", alarm_id)
        return _sound(rows[0][0], Alarm, "an alarm") if rows else None

    def keep_alarm(self, alarm: Alarm) -> None:
        body = msgspec.json.encode(alarm).decode()
        self.do("INSERT OR REPLACE INTO alarms VALUES (?, ?, ?)", alarm.id, alarm.pending_at, body)

    def post(self, alert: Alert, decided_ns: int) -> None:
        """Put an alert among those to publish and act upon."""
        body = msgspec.json.encode(alert).decode()
        self.do("INSERT INTO outbox (alert, decided_ns) VALUES (?, ?)", body, decided_ns)
        ((no,),) = self.do("SELECT last_insert_rowid()")
        if no % ALERTS_BETWEEN_PRUNING == 0:
            self.prune()

    def to_act_upon(self) -> list[PendingAlert]:
        """The alerts that nothing was done about yet, in order."""
        return self._pending("SELECT no, alert, decided_ns FROM outbox WHERE NOT acted ORDER BY no")

    def to_publish(self, at_most: int) -> list[PendingAlert]:
        """The oldest alerts that are to be published, in order; what was not acted upon is none of them."""
        return self._pending("SELECT no, alert, decided_ns FROM outbox WHERE acted ORDER BY no LIMIT ?", at_most)

    @property
    def unpublished(self) -> int:
        """How many alerts were acted upon and are to be published. None is ever given up."""
        ((count,),) = self.do("SELECT COUNT(*) FROM outbox WHERE acted")
        return int(count)

    def _pending(self, sql: str, *values: int) -> list[PendingAlert]:
        found = []
        for no, text, at in self.do(sql, *values):
            alert = _sound(text, Alert, "an alert") if isinstance(at, int) else None
            if alert is None:
                self.do("DELETE FROM outbox WHERE no = ?", no)
            else:
                found.append(PendingAlert(no, alert, at))
        return found

    def acted(self, no: int) -> None:
        self.do("UPDATE outbox SET acted = 1 WHERE no = ?", no)

    def published(self, no: int) -> None:
        """It is done with, once it was acted upon too: only then it is taken away."""
        self.do("DELETE FROM outbox WHERE no = ? AND acted", no)

    def prune(self) -> None:
        """Keep the alarms that are open, the newest of those that have cleared, and the commands of both."""
        self.do(
            "DELETE FROM alarms WHERE id NOT IN (SELECT id FROM alarms ORDER BY rowid DESC LIMIT ?) AND body LIKE ?",
            ALARMS_KEPT,
            '%"state":"cleared"%',
        )
        self.do("DELETE FROM commands WHERE status <> 'open' AND alarm NOT IN (SELECT id FROM alarms)")

    # -- commands

    def issue(self, row: CommandRow) -> bool:
        """Write a command down; False if it was before."""
        if self.command(row.id) is not None:
            return False
        self.do(f"INSERT INTO commands VALUES ({', '.join('?' * len(row))})", *row)
        return True

    def command(self, command_id: str) -> CommandRow | None:
        rows = self.do("SELECT * FROM commands WHERE id = ?", command_id)
        return CommandRow(*rows[0]) if rows and _fits(rows[0], CommandRow, "a command") else None

    def open_commands(self) -> list[CommandRow]:
        rows = self.do("SELECT * FROM commands WHERE status = 'open' ORDER BY issued_ns")
        return [CommandRow(*row) for row in rows if _fits(row, CommandRow, "a command")]

    def settle(self, command_id: str, status: str) -> None:
        self.do("UPDATE commands SET status = ? WHERE id = ?", status, command_id)

    def sent(self, command_id: str) -> None:
        self.do("UPDATE commands SET sent = sent + 1 WHERE id = ?", command_id)

    # -- what else an action remembers, under keys that begin with its name

    def remember(self, key: str, value: Any) -> None:
        """Keep something JSON-able."""
        self.do("INSERT OR REPLACE INTO memory VALUES (?, ?)", key, msgspec.json.encode(value).decode())

    def recall(self, key: str, kind: Any = Any) -> Any:
        """What was kept, or None; also where it is no `kind`."""
        rows = self.do("SELECT value FROM memory WHERE key = ?", key)
        return _sound(rows[0][0], kind, key) if rows else None

    def forget(self, key: str) -> None:
        self.do("DELETE FROM memory WHERE key = ?", key)

    # -- SQL

    def do(self, sql: str, *values: Any) -> list[Any]:
        """Run one statement, for those whose tables are in this file too."""
        try:
            return self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, UnicodeError) as fault:
            raise self._error(fault) from None

    def _error(self, fault: Exception) -> StateDbError:
        # On a full disk the memory that SQLite shares beside the log fails as I/O.
        if "full" in str(fault) or ("I/O" in str(fault) and self.reserve.short):
            self.reserve.release()
        return StateDbError(f"the state in {self._path} cannot be used ({fault}); see to its permissions and the free space")


def _sound(text: Any, kind: Any, what: str) -> Any:
    """The JSON in a cell, or None, said in the log: one damaged row must not keep all alarms from those who watch."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TypeError, UnicodeError, RecursionError) as fault:
        log.error("%s in the state cannot be read (%s) and is left out", what, fault)
        return None


def _fits(row: Any, kind: Any, what: str) -> bool:
    try:
        msgspec.convert(row, kind)
    except msgspec.ValidationError as fault:
        log.error("%s in the state cannot be read (%s) and is left out", what, fault)
        return False
    return True
