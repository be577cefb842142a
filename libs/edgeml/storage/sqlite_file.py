"""SQLite files of components: with a write-ahead log, checked when they are opened, put aside when they are damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)


Act = Callable[[sqlite3.Connection], object]


def _nothing(db: sqlite3.Connection) -> None:
    pass


def open_database(
    path: Path,
    lay_out: Act,
    *,
    synchronous: str,
    wait_s: float,
    lost: str,
    after_loss: Act = _nothing,
    damage: str = "",
) -> sqlite3.Connection:
    """The file at `path`, which is made where it is not. A damaged one is put aside as `<stem>.damaged` and begun anew.

    A process may be killed, or fail, at any point of that: the next one finds the damaged file in its place, or the new one whole.

    Args:
        lay_out: makes the tables; a `sqlite3.DatabaseError` of it counts as damage.
        synchronous: `NORMAL` or `FULL`, as in SQLite.
        wait_s: seconds to wait for another process's lock.
        lost: what is lost when the file is damaged, for the log.
        after_loss: what the new file has to know of that.
        damage: what its user found wrong with the file while it was open, which is no longer asked then; empty: nothing.

    Returns:
        The connection; each statement is a transaction of its own unless one is begun.

    Raises:
        sqlite3.OperationalError: it is about the file's surroundings: permissions, space, locks.
        OSError: what is damaged cannot be put aside.
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
    log.error("%s is damaged (%s) and put aside as %s; %s", path, damage, aside.name, lost)
    _without_logs(new)
    new.unlink(missing_ok=True)
    made = _open(new, lay_out, synchronous, wait_s)
    try:
        after_loss(made)
    finally:
        made.close()
    if path.exists():
        path.replace(aside)
    _put_in_place(new, path)
    return _open(path, lay_out, synchronous, wait_s)


def _put_in_place(new: Path, path: Path) -> None:
    _without_logs(path)  # of the file that was there
    new.replace(path)
    _sync_folder(path.parent)


def _without_logs(path: Path) -> None:
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)


def _open(path: Path, lay_out: Act, synchronous: str, wait_s: float) -> sqlite3.Connection:
    fresh = not path.exists()
    db = sqlite3.connect(path, isolation_level=None, timeout=wait_s)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
        lay_out(db)
        if fresh:
            _sync_folder(path.parent)
    except UnicodeDecodeError as fault:  # of SQLite's own message, which quotes the damaged bytes
        db.close()
        raise sqlite3.DatabaseError(f"its tables are no text: {fault.reason}") from None
    except BaseException:
        db.close()
        raise
    return db


def _sync_folder(folder: Path) -> None:
    """SQLite syncs the names of its logs, not that of the file itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
