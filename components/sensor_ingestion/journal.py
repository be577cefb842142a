"""What became of each command, on disk before the machine acts: one SQLite file for all assets.

It belongs to no configuration: an id that was executed stays executed when an asset's source is configured anew. Every commit is
synced (write-ahead log, `synchronous = FULL`), so that neither a killed process nor a power cut lets a command be begun twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edgeml.database import open_database
from edgeml.errors import EdgemlError
from edgeml.noise import RateLimited

log = logging.getLogger(__name__)

FILE = "commands.sqlite3"
ACTED_KEPT = 10_000
"""Commands that were begun and are remembered, per asset: the newest."""
REFUSED_KEPT = 1_000
"""Commands that were noted without being begun, per asset: the newest."""
BEGUN, EXECUTED, UNKNOWN = "begun", "executed", "unknown"

_TABLES = """
CREATE TABLE IF NOT EXISTS commands (
    no INTEGER PRIMARY KEY AUTOINCREMENT, asset TEXT, id TEXT, acted INTEGER, status TEXT, at TEXT, detail TEXT, UNIQUE (asset, id)
);
CREATE INDEX IF NOT EXISTS by_age ON commands (asset, acted, no);
CREATE TABLE IF NOT EXISTS latches (asset TEXT PRIMARY KEY, command TEXT, at TEXT, released INTEGER);
CREATE TABLE IF NOT EXISTS loss (at_ns INTEGER);
"""


class JournalError(EdgemlError):
    """It cannot be read or written."""


class Answer(NamedTuple):
    """What a command is answered with: `status` as in `CommandAck`, `at` event time of the machine, ISO 8601, `detail` why."""

    status: str
    at: str
    detail: str = ""


class Latch(NamedTuple):
    """What keeps a machine from being commanded: the id of the command, and its event time, ISO 8601; empty if that was lost."""

    command: str
    at: str


class Journal:
    """The file in the directory `work`, opened when it is first needed and tried anew when that fails.

    One that is damaged is put aside and begun anew; `lost_ns` is then the wall-clock time before which nothing is known.

    Every method raises JournalError.

    Attributes:
        lines: logs what concerns single messages about commands, within one limit for all assets.
    """

    def __init__(self, work: Path, wall_ns: Callable[[], int]) -> None:
        self._path, self._wall_ns = work / FILE, wall_ns
        self.lines = RateLimited(log)
        self._db: sqlite3.Connection | None = None

    def find(self, asset: str, id: str) -> Answer | None:
        """What the command was answered with. One that was begun and not finished is `unknown`, for good."""
        rows = self._do("SELECT status, at, detail FROM commands WHERE asset = ? AND id = ?", asset, id)
        if not rows:
            return None
        answer = Answer(*rows[0])
        if answer.status != BEGUN:
            return answer
        detail = "the component ended between its note of the command and the machine's return; see whether the machine obeyed"
        return Answer(UNKNOWN, answer.at, detail)

    def unfinished(self, asset: str) -> list[str]:
        """Ids of the commands that were begun and neither finished nor told since."""
        return [id for (id,) in self._do("SELECT id FROM commands WHERE asset = ? AND status = ?", asset, BEGUN)]

    def begin(self, asset: str, id: str, at: str, latch: bool) -> None:
        """The machine is about to be told; `latch`: and is latched from now on."""
        with self._transaction():
            self._insert(asset, id, True, Answer(BEGUN, at))
            if latch:
                self._do("INSERT OR REPLACE INTO latches VALUES (?, ?, ?, 0)", asset, id, at)

    def finish(self, asset: str, id: str, answer: Answer) -> None:
        """What came of a command that was begun."""
        self._do("UPDATE commands SET status = ?, detail = ? WHERE asset = ? AND id = ?", answer.status, answer.detail, asset, id)

    def forget(self, asset: str, id: str) -> None:
        """A command that was begun has had no effect, and latched nothing."""
        with self._transaction():
            self._do("DELETE FROM commands WHERE asset = ? AND id = ?", asset, id)
            self._do("DELETE FROM latches WHERE asset = ? AND command = ?", asset, id)

    def note(self, asset: str, id: str, answer: Answer) -> None:
        """A command is answered without being begun."""
        with self._transaction():
            self._insert(asset, id, False, answer)

    def adopt(self, asset: str, executed: Mapping[str, str]) -> None:
        """What a version before kept elsewhere: id -> event time of its execution."""
        with self._transaction():
            for id, at in executed.items():
                if self.find(asset, id) is None:
                    self._insert(asset, id, True, Answer(EXECUTED, at))

    def latch(self, asset: str) -> Latch | None:
        """What latched the asset; after a loss whatever nobody has released since counts as latched."""
        rows = self._do("SELECT command, at, released FROM latches WHERE asset = ?", asset)
        if not rows:
            return Latch("", "") if self.lost_ns() else None
        command, at, released = rows[0]
        return None if released else Latch(command, at)

    def release(self, asset: str) -> None:
        self._do("INSERT OR REPLACE INTO latches VALUES (?, '', '', 1)", asset)

    def lost_ns(self) -> int:
        """See the class; 0: nothing was lost."""
        ((at,),) = self._do("SELECT COALESCE(MAX(at_ns), 0) FROM loss")
        return int(at)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _insert(self, asset: str, id: str, acted: bool, answer: Answer) -> None:
        self._do("INSERT INTO commands (asset, id, acted, status, at, detail) VALUES (?, ?, ?, ?, ?, ?)", asset, id, acted, *answer)
        self._do(
            "DELETE FROM commands WHERE asset = ? AND acted = ? AND no <= "
            "(SELECT no FROM commands WHERE asset = ? AND acted = ? ORDER BY no DESC LIMIT 1 OFFSET ?)",
            asset, acted, asset, acted, ACTED_KEPT if acted else REFUSED_KEPT,
        )

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def _do(self, sql: str, *values: Any) -> list[Any]:
        try:
            if self._db is None:
                self._db = self._open()
            return self._db.execute(sql, values).fetchall()
        except (sqlite3.Error, OSError, UnicodeError) as fault:
            raise JournalError(
                f"the memory of commands in {self._path.name} cannot be used ({fault}), and without it none is executed; see to its "
                "permissions and the free space"
            ) from None

    def _open(self) -> sqlite3.Connection:
        return open_database(
            self._path, lambda db: db.executescript(_TABLES), synchronous="FULL", wait_s=1.0,
            lost="commands that were issued before now are not executed",
            after_loss=lambda db: db.execute("INSERT INTO loss VALUES (?)", (self._wall_ns(),)),
        )


class _Transaction:
    """All writes inside happen, or none."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __enter__(self) -> None:
        self._journal._do("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._journal._do("COMMIT")
        finally:
            db = self._journal._db
            if db is not None and db.in_transaction:
                db.execute("ROLLBACK")
