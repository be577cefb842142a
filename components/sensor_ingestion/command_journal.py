"""What became of each command, on disk before the machine acts: one SQLite file for all assets.

It belongs to no configuration: an id that was executed stays executed when an asset's source is configured anew. Every commit is
synced (write-ahead log, `synchronous = FULL`), so that neither a killed process nor a power cut lets a command be begun twice.
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
ACTED_KEPT = 10_000
"""Commands that were begun and are remembered, per asset: the newest."""
REFUSED_KEPT = 1_000
"""Commands that were noted without being begun, per asset: the newest."""
OWN_KEPT = 10_000
"""Commands of all assets that a process remembers of its own, in case the file is damaged while it runs."""
BEGUN, EXECUTED, UNKNOWN = "begun", "executed", "unknown"

_TABLES = """
CREATE TABLE IF NOT EXISTS commands (
    no INTEGER PRIMARY KEY AUTOINCREMENT, asset TEXT, id TEXT, acted INTEGER, status TEXT, at TEXT, detail TEXT, UNIQUE (asset, id)
);
CREATE INDEX IF NOT EXISTS by_age ON commands (asset, acted, no);
CREATE TABLE IF NOT EXISTS latches (asset TEXT PRIMARY KEY, command TEXT, at TEXT, released INTEGER);
CREATE TABLE IF NOT EXISTS loss (at_ns INTEGER);
"""
_LATCH = "INSERT OR REPLACE INTO latches VALUES (?, ?, ?, ?)"
T = TypeVar("T")


class JournalError(EdgemlError):
    """It cannot be read or written."""


class Answer(NamedTuple):
    """What a command is answered with: `status` as in `CommandAck`, `at` event time of the machine, ISO 8601, `detail` why."""

    status: str
    at: str
    detail: str = ""


class Lockout(NamedTuple):
    """What keeps a machine from being commanded: the id of the command, and its event time, ISO 8601; empty if that was lost."""

    command: str
    at: str


class _Damage(Exception):
    """The file that is open is damaged, or is no longer the one of its name."""


class CommandJournal:
    """The file in the directory `work`, opened when it is first needed and tried again when that fails.

    One that is damaged is put aside and a new one begun, while the process runs too: what this process itself did is then written into the
    new file, and `lost_ns` is the wall-clock time before which nothing else is known.

    Attributes:
        fault: a sentence for people, while the file cannot be used and after one was damaged; empty at first.

    Every method raises JournalError.

    Attributes:
        lines: logs what concerns single messages about commands, within one limit for all assets.
    """

    def __init__(self, work: Path, wall_ns: Callable[[], int]) -> None:
        self._path, self._wall_ns = work / FILE, wall_ns
        self.lines = RateLimitedLog(log)
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._own = _Own()
        self._damaged = self._trouble = ""

    @property
    def fault(self) -> str:
        return self._trouble or self._damaged

    def find(self, asset: str, id: str) -> Answer | None:
        """What the command was answered with. One that was begun and not finished is `unknown`, for good."""
        rows = self._try("SELECT status, at, detail FROM commands WHERE asset = ? AND id = ?", asset, id)
        if not rows:
            return None
        answer = Answer(*rows[0])
        if answer.status != BEGUN:
            return answer
        detail = "the component ended between its note of the command and the machine's return; see whether the machine obeyed"
        return Answer(UNKNOWN, answer.at, detail)

    def unfinished(self, asset: str) -> list[str]:
        """Ids of the commands that were begun and neither finished nor told since."""
        return [id for (id,) in self._try("SELECT id FROM commands WHERE asset = ? AND status = ?", asset, BEGUN)]

    def begin(self, asset: str, id: str, at: str, latch: bool) -> None:
        """The machine is about to be told; `latch`: and is latched from now on."""

        def work() -> None:
            _insert(self._do, asset, id, True, Answer(BEGUN, at))
            if latch:
                self._do(_LATCH, asset, id, at, 0)

        self._whole(work)
        self._own.note(asset, id, True, Answer(BEGUN, at), self._wall_ns())
        if latch:
            self._own.latches[asset] = Lockout(id, at)

    def finish(self, asset: str, id: str, answer: Answer) -> None:
        """What came of a command that was begun."""
        self._try("UPDATE commands SET status = ?, detail = ? WHERE asset = ? AND id = ?", answer.status, answer.detail, asset, id)
        self._own.note(asset, id, True, answer, self._wall_ns())

    def forget(self, asset: str, id: str) -> None:
        """A command that was begun has had no effect, and latched nothing."""

        def work() -> None:
            self._do("DELETE FROM commands WHERE asset = ? AND id = ?", asset, id)
            self._do("DELETE FROM latches WHERE asset = ? AND command = ?", asset, id)

        self._whole(work)
        self._own.commands.pop((asset, id), None)
        self._own.latches.pop(asset, None)

    def note(self, asset: str, id: str, answer: Answer) -> None:
        """A command is answered without being begun."""

        def work() -> None:
            _insert(self._do, asset, id, False, answer)

        self._whole(work)
        self._own.note(asset, id, False, answer, self._wall_ns())

    def adopt(self, asset: str, executed: Mapping[str, str]) -> None:
        """What a version before kept elsewhere: id -> event time of its execution."""
        fresh = {id: at for id, at in executed.items() if self.find(asset, id) is None}

        def work() -> None:
            for id, at in fresh.items():
                _insert(self._do, asset, id, True, Answer(EXECUTED, at))

        self._whole(work)
        for id, at in fresh.items():
            self._own.note(asset, id, True, Answer(EXECUTED, at), self._wall_ns())

    def latch(self, asset: str) -> Lockout | None:
        """What latched the asset; after a loss whatever nobody has released since counts as latched."""
        rows = self._try("SELECT command, at, released FROM latches WHERE asset = ?", asset)
        if not rows:
            found = Lockout("", "") if self.lost_ns() else None
        else:
            command, at, released = rows[0]
            found = None if released else Lockout(command, at)
        self._own.latches[asset] = found
        return found

    def release(self, asset: str) -> None:
        self._try(_LATCH, asset, "", "", 1)
        self._own.latches[asset] = None

    def lost_ns(self) -> int:
        """See the class; 0: nothing was lost."""
        ((at,),) = self._try("SELECT COALESCE(MAX(at_ns), 0) FROM loss")
        return int(at)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _try(self, sql: str, *values: Any) -> list[Any]:
        return self._with(lambda: self._do(sql, *values))

    def _whole(self, work: Callable[[], None]) -> None:
        """All statements of `work` happen, or none."""

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
        """What `work` gives; tried once more on a new file if the one that is open is damaged."""
        try:
            try:
                self._open()
                found = work()
            except _Damage as damage:
                self._open(str(damage))
                found = work()
        except (sqlite3.Error, OSError, UnicodeError, _Damage) as fault:
            if isinstance(fault, sqlite3.OperationalError) and "I/O error" in str(fault):
                self.close()  # the next call looks at the whole file
            self._trouble = (
                f"the memory of commands in {self._path.name} cannot be used ({fault}), and without it none is executed; see to its "
                "permissions and the free space"
            )
            raise JournalError(self._trouble) from None
        self._trouble = ""
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
            raise _Damage(f"its tables are no text: {fault.reason}") from None

    def _open(self, damage: str = "") -> None:
        if self._db is not None and not damage and not self._is_there():
            # What is written into a file that has no name any more is gone with the process.
            damage = "it was taken away"
        if damage:
            self.close()
        if self._db is None:
            self._db = open_database(
                self._path,
                lambda db: db.executescript(_TABLES),
                synchronous="FULL",
                wait_s=1.0,
                damage=damage,
                lost="commands that were issued before and are not known are not executed",
                after_loss=self._begin_after_loss,
            )
            self._inode = self._path.stat().st_ino
            self._own.since_ns = self._own.since_ns or self._wall_ns()

    def _is_there(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _begin_after_loss(self, db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO loss VALUES (?)", (self._own.since_ns or self._wall_ns(),))
        for (asset, id), (acted, answer) in self._own.commands.items():
            _insert(lambda sql, *values: db.execute(sql, values), asset, id, acted, answer)
        for asset, latch in self._own.latches.items():
            db.execute(_LATCH, (asset, *(latch or ("", "")), int(latch is None)))
        self._damaged = (
            f"the memory of commands was damaged and put aside as {self._path.with_suffix('.damaged').name}; commands from before are "
            "answered unknown; see whether the machines obeyed, and to the disk"
        )


class _Own:
    """What this process did since it opened the file, for a new one after a loss.

    Attributes:
        since_ns: wall-clock time from which on all of it is here; 0: nothing was opened yet.
    """

    def __init__(self) -> None:
        self.since_ns = 0
        self.commands: dict[tuple[str, str], tuple[bool, Answer]] = {}
        self.latches: dict[str, Lockout | None] = {}

    def note(self, asset: str, id: str, acted: bool, answer: Answer, now_ns: int) -> None:
        self.commands[asset, id] = acted, answer
        while len(self.commands) > OWN_KEPT:
            del self.commands[next(iter(self.commands))]
            # Of what was issued up to now nothing can be said any more but that it may be what was dropped.
            self.since_ns = now_ns


def _insert(do: Callable[..., object], asset: str, id: str, acted: bool, answer: Answer) -> None:
    do("INSERT INTO commands (asset, id, acted, status, at, detail) VALUES (?, ?, ?, ?, ?, ?)", asset, id, acted, *answer)
    do(
        "DELETE FROM commands WHERE asset = ? AND acted = ? AND no <= "
        "(SELECT no FROM commands WHERE asset = ? AND acted = ? ORDER BY no DESC LIMIT 1 OFFSET ?)",
        asset,
        acted,
        asset,
        acted,
        ACTED_KEPT if acted else REFUSED_KEPT,
    )
