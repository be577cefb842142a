"""Outcomes of commands, on disk before the machine acts: one SQLite file for all assets.

The file does not depend on the configuration: an executed id stays executed when an asset's source changes. Every commit is synced
(write-ahead log, `synchronous = FULL`), so that neither a killed process nor a power cut lets a command begin twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from edgeml.errors import EdgemlError
from edgeml.log_throttle import RateLimitedLog
from edgeml.storage.sqlite_file import open_database

log = logging.getLogger(__name__)

FILE = "commands.sqlite3"
MAX_BEGUN = 10_000
"""Commands that were begun, per asset: the newest are kept."""
MAX_REFUSED = 1_000
"""Commands that were answered without being begun, per asset: the newest are kept."""
MAX_OWN = 10_000
"""Commands of all assets that a process keeps in memory, in case the file is damaged while it runs."""
BEGUN, EXECUTED, UNKNOWN = "begun", "executed", "unknown"

_TABLES = (
    "CREATE TABLE IF NOT EXISTS commands (no INTEGER PRIMARY KEY AUTOINCREMENT, asset TEXT, id TEXT, acted INTEGER, status TEXT, at TEXT,"
    " detail TEXT, UNIQUE (asset, id))",
    "CREATE INDEX IF NOT EXISTS by_age ON commands (asset, acted, no)",
    "CREATE TABLE IF NOT EXISTS lockouts (asset TEXT PRIMARY KEY, command TEXT, at TEXT, released INTEGER)",
    "CREATE TABLE IF NOT EXISTS loss (at_ns INTEGER)",
)
_SET_LOCKOUT = "INSERT OR REPLACE INTO lockouts VALUES (?, ?, ?, ?)"
T = TypeVar("T")


class JournalError(EdgemlError):
    """The journal cannot be read or written."""


class Answer(NamedTuple):
    """The answer to a command: `status` and `detail` as in `CommandAck`, `at` the event time of the machine, ISO 8601."""

    status: str
    at: str
    detail: str = ""


class Lockout(NamedTuple):
    """The lockout of a machine: the id of the command that led to it, and its event time, ISO 8601; empty if they were lost."""

    command: str
    at: str


class _Damage(Exception):
    """The open file is damaged, or is no longer the file of its name."""


class CommandJournal:
    """The file in the directory `work`, opened when it is first needed, and again if that fails.

    A damaged file is set aside and replaced, also while the process runs: the commands of this process are then written into the new
    file, and `lost_ns` is the wall-clock time before which nothing else is known.

    Every method raises JournalError.

    Attributes:
        fault: a sentence for people, while the file cannot be used and after it was damaged; empty at first.
        throttled_log: for lines about single commands, within one limit for all assets.
    """

    def __init__(self, work: Path, wall_ns: Callable[[], int]) -> None:
        self._path, self._wall_ns = work / FILE, wall_ns
        self.throttled_log = RateLimitedLog(log)
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._own = _Own()
        self._damage_sentence = self._access_fault = ""

    @property
    def fault(self) -> str:
        return self._access_fault or self._damage_sentence

    def find(self, asset: str, id: str) -> Answer | None:
        """The answer to a command. A command that was begun and not finished is `unknown` for good."""
        rows = self._try("SELECT status, at, detail FROM commands WHERE asset = ? AND id = ?", asset, id)
        if not rows:
            return None
        answer = Answer(*rows[0])
        if answer.status != BEGUN:
            return answer
        detail = "the component ended during the execution; check whether the machine executed it"
        return Answer(UNKNOWN, answer.at, detail)

    def unfinished(self, asset: str) -> list[str]:
        """Ids of the commands that were begun and not finished."""
        return [id for (id,) in self._try("SELECT id FROM commands WHERE asset = ? AND status = ?", asset, BEGUN)]

    def begin(self, asset: str, id: str, at: str, lockout: bool) -> None:
        """Note that the machine is about to execute a command; `lockout`: and is locked out from now on."""

        def work() -> None:
            _insert(self._do, asset, id, True, Answer(BEGUN, at))
            if lockout:
                self._do(_SET_LOCKOUT, asset, id, at, 0)

        self._whole(work)
        self._own.note(asset, id, True, Answer(BEGUN, at), self._wall_ns())
        if lockout:
            self._own.lockouts[asset] = Lockout(id, at)

    def finish(self, asset: str, id: str, answer: Answer) -> None:
        """Save the outcome of a command that was begun."""
        self._try("UPDATE commands SET status = ?, detail = ? WHERE asset = ? AND id = ?", answer.status, answer.detail, asset, id)
        self._own.note(asset, id, True, answer, self._wall_ns())

    def delete(self, asset: str, id: str) -> None:
        """Delete a command that was begun and had no effect, and its lockout."""

        def work() -> None:
            self._do("DELETE FROM commands WHERE asset = ? AND id = ?", asset, id)
            self._do("DELETE FROM lockouts WHERE asset = ? AND command = ?", asset, id)

        self._whole(work)
        self._own.commands.pop((asset, id), None)
        self._own.lockouts.pop(asset, None)

    def note(self, asset: str, id: str, answer: Answer) -> None:
        """Save the answer to a command that was not begun."""

        def work() -> None:
            _insert(self._do, asset, id, False, answer)

        self._whole(work)
        self._own.note(asset, id, False, answer, self._wall_ns())

    def import_executed(self, asset: str, executed: Mapping[str, str]) -> None:
        """Take over executed commands of an earlier version: id -> event time of the execution."""
        new = {id: at for id, at in executed.items() if self.find(asset, id) is None}

        def work() -> None:
            for id, at in new.items():
                _insert(self._do, asset, id, True, Answer(EXECUTED, at))

        self._whole(work)
        for id, at in new.items():
            self._own.note(asset, id, True, Answer(EXECUTED, at), self._wall_ns())

    def lockout(self, asset: str) -> Lockout | None:
        """The asset's lockout, or None. After a loss, an asset counts as locked out until it is released."""
        rows = self._try("SELECT command, at, released FROM lockouts WHERE asset = ?", asset)
        if not rows:
            found = Lockout("", "") if self.lost_ns() else None
        else:
            command, at, released = rows[0]
            found = None if released else Lockout(command, at)
        self._own.lockouts[asset] = found
        return found

    def release(self, asset: str) -> None:
        self._try(_SET_LOCKOUT, asset, "", "", 1)
        self._own.lockouts[asset] = None

    def lost_ns(self) -> int:
        """Wall-clock time before which commands may be unknown; 0: nothing was lost."""
        ((at,),) = self._try("SELECT COALESCE(MAX(at_ns), 0) FROM loss")
        return int(at)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _try(self, sql: str, *values: Any) -> list[Any]:
        return self._with(lambda: self._do(sql, *values))

    def _whole(self, work: Callable[[], None]) -> None:
        """Run all statements of `work` in one transaction."""

        def whole() -> None:
            self._do("BEGIN IMMEDIATE")
            try:
                work()
                self._do("COMMIT")
            finally:
                if self._db is not None and self._db.in_transaction:
                    try:
                        self._db.execute("ROLLBACK")
                    except sqlite3.Error:
                        self.close()  # which undoes it too

        self._with(whole)

    def _with(self, work: Callable[[], T]) -> T:
        """Run `work`, and once more on a new file if the open one is damaged."""
        try:
            try:
                self._open()
                found = work()
            except _Damage as damage:
                self._open(str(damage))
                found = work()
        except (sqlite3.Error, OSError, UnicodeError, _Damage) as fault:
            if isinstance(fault, sqlite3.OperationalError) and "I/O error" in str(fault):
                self.close()  # the next call checks the whole file
            self._access_fault = (
                f"the journal of commands in {self._path.name} cannot be used ({fault}), and without it no command is executed; check its "
                "permissions and the free space"
            )
            raise JournalError(self._access_fault) from None
        self._access_fault = ""
        return found

    def _do(self, sql: str, *values: Any) -> list[Any]:
        """One statement on the open file."""
        assert self._db is not None
        try:
            return self._db.execute(sql, values).fetchall()
        except (sqlite3.OperationalError, sqlite3.IntegrityError):
            raise
        except sqlite3.DatabaseError as fault:
            raise _Damage(fault) from None
        except UnicodeDecodeError as fault:  # of a text in the file, or of SQLite's own message, which quotes the damaged bytes
            raise _Damage(f"its text is invalid: {fault.reason}") from None

    def _open(self, damage: str = "") -> None:
        if self._db is not None and not damage and not self._is_same_file():
            # Data in a file without a name is lost when the process ends.
            damage = "it was removed or replaced"
        if damage:
            self.close()
        if self._db is None:
            self._db = open_database(
                self._path,
                _create_tables,
                synchronous="FULL",
                wait_s=1.0,
                damage=damage,
                lost="commands that were issued before are answered unknown; check whether the machines executed them, and check the disk",
                after_loss=self._begin_after_loss,
            )
            self._inode = self._path.stat().st_ino
            self._own.since_ns = self._own.since_ns or self._wall_ns()

    def _is_same_file(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _begin_after_loss(self, db: sqlite3.Connection, sentence: str) -> None:
        db.execute("INSERT INTO loss VALUES (?)", (self._own.since_ns or self._wall_ns(),))
        for (asset, id), (acted, answer) in self._own.commands.items():
            _insert(lambda sql, *values: db.execute(sql, values), asset, id, acted, answer)
        for asset, lockout in self._own.lockouts.items():
            db.execute(_SET_LOCKOUT, (asset, *(lockout or ("", "")), int(lockout is None)))
        self._damage_sentence = f"the journal of commands {sentence}"


class _Own:
    """The commands of this process since it opened the file, for a new file after a loss.

    Attributes:
        since_ns: wall-clock time from which on they are complete; 0: no file was opened yet.
    """

    def __init__(self) -> None:
        self.since_ns = 0
        self.commands: dict[tuple[str, str], tuple[bool, Answer]] = {}
        self.lockouts: dict[str, Lockout | None] = {}

    def note(self, asset: str, id: str, acted: bool, answer: Answer, now_ns: int) -> None:
        self.commands[asset, id] = acted, answer
        while len(self.commands) > MAX_OWN:
            del self.commands[next(iter(self.commands))]
            # Any command that was issued up to now may be one of those that were dropped.
            self.since_ns = now_ns


def _create_tables(db: sqlite3.Connection) -> None:
    """Create the tables; the lockouts of an earlier version were in a table `latches`."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if {"commands", "lockouts", "loss"} <= tables and "latches" not in tables:
        return
    db.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        db.execute(statement)
    if "latches" in tables:
        db.execute("INSERT OR REPLACE INTO lockouts SELECT asset, command, at, released FROM latches")
        db.execute("DROP TABLE latches")
    db.execute("COMMIT")


def _insert(do: Callable[..., object], asset: str, id: str, acted: bool, answer: Answer) -> None:
    do("INSERT INTO commands (asset, id, acted, status, at, detail) VALUES (?, ?, ?, ?, ?, ?)", asset, id, acted, *answer)
    do(
        "DELETE FROM commands WHERE asset = ? AND acted = ? AND no <= "
        "(SELECT no FROM commands WHERE asset = ? AND acted = ? ORDER BY no DESC LIMIT 1 OFFSET ?)",
        asset,
        acted,
        asset,
        acted,
        MAX_BEGUN if acted else MAX_REFUSED,
    )
