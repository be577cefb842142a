"""SQLite files of components, with a write-ahead log: checked when opened, and replaced when damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)


def _nothing(db: sqlite3.Connection, sentence: str) -> None:
    pass


def open_database(
    path: Path,
    lay_out: Callable[[sqlite3.Connection], object],
    *,
    synchronous: str,
    wait_s: float,
    lost: str,
    after_loss: Callable[[sqlite3.Connection, str], object] = _nothing,
    damage: str = "",
) -> sqlite3.Connection:
    """Open the file at `path`, or create it. A damaged file is renamed to `<stem>.damaged` and replaced by a new one.

    A process may be killed, or fail, at any point: the next one finds either the damaged file or the complete new one.

    Args:
        lay_out: creates the tables; a `sqlite3.DatabaseError` that it raises counts as damage.
        synchronous: `NORMAL` or `FULL`, as in SQLite.
        wait_s: seconds to wait for another process's lock.
        lost: the consequence of damage, and the remedy, for the log.
        after_loss: records the loss in the new file; takes it and the sentence that was logged.
        damage: damage that the caller found while the file was open; the file is then not checked again. Empty: none.

    Returns:
        The connection; each statement is its own transaction unless one is open.

    Raises:
        sqlite3.OperationalError: permissions, space or locks.
        OSError: the damaged file cannot be renamed.
    """
    new = path.with_suffix(".new")
    if not damage:
        if new.exists() and not path.exists():
            _put_in_place(new, path)
        try:
            return _open(path, lay_out, synchronous, wait_s)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as fault:
            damage = str(fault)
    aside = path.with_suffix(".damaged")
    renamed = f", renamed to {aside.name}" if path.exists() else ""
    sentence = f"{path} was damaged ({damage}){renamed} and replaced by a new file; {lost}"
    log.error("%s", sentence)
    _without_logs(new)
    new.unlink(missing_ok=True)
    created = _open(new, lay_out, synchronous, wait_s)
    try:
        after_loss(created, sentence)
    finally:
        created.close()
    if path.exists():
        path.replace(aside)
    _put_in_place(new, path)
    return _open(path, lay_out, synchronous, wait_s)


def _put_in_place(new: Path, path: Path) -> None:
    _without_logs(path)  # those of the old file
    new.replace(path)
    _sync_folder(path.parent)


def _without_logs(path: Path) -> None:
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)


def _open(path: Path, lay_out: Callable[[sqlite3.Connection], object], synchronous: str, wait_s: float) -> sqlite3.Connection:
    fresh = not path.exists()
    db = sqlite3.connect(path, isolation_level=None, timeout=wait_s)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        (check,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if check != "ok":
            raise sqlite3.DatabaseError(check)
        lay_out(db)
        if fresh:
            _sync_folder(path.parent)
    except UnicodeDecodeError as fault:  # from SQLite's own message, which quotes the damaged bytes
        db.close()
        raise sqlite3.DatabaseError(f"its tables are not text: {fault.reason}") from None
    except BaseException:
        db.close()
        raise
    return db


def _sync_folder(folder: Path) -> None:
    """Sync the folder: SQLite syncs the names of its logs, not that of the file itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
