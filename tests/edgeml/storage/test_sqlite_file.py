"""SQLite files are opened, and replaced when they are damaged, even if the process ends meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeml.storage import sqlite_file
from edgeml.storage.sqlite_file import open_database


def opened(path: Path) -> sqlite3.Connection:
    return open_database(
        path,
        lambda db: db.executescript("CREATE TABLE IF NOT EXISTS t (x); CREATE TABLE IF NOT EXISTS loss (x);"),
        synchronous="FULL",
        wait_s=0.1,
        lost="all rows are lost",
        after_loss=lambda db, sentence: db.execute("INSERT INTO loss VALUES ('then')"),
    )


def rows(db: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return db.execute(f"SELECT * FROM {table}").fetchall()


def damage(path: Path) -> None:
    """A file with a row in it, and another in its write-ahead log, that no longer is one."""
    db = opened(path)
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("INSERT INTO t VALUES (2)")
    whole = path.read_bytes()
    log = path.with_name(path.name + "-wal").read_bytes()
    db.close()
    path.write_bytes(b"no database" + whole[11:])
    path.with_name(path.name + "-wal").write_bytes(log)


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    db = opened(path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",) and db.execute("PRAGMA synchronous").fetchone() == (2,)
    db.execute("INSERT INTO t VALUES (1)")
    db.close()
    assert rows(opened(path), "t") == [(1,)] and rows(opened(path), "loss") == []


def test_a_damaged_file_is_put_aside_and_the_new_one_knows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.sqlite3"
    damage(path)
    db = opened(path)
    assert "was damaged (file is not a database), renamed to a.damaged and replaced by a new file; all rows are lost" in caplog.text and (
        tmp_path / "a.damaged"
    ).read_bytes().startswith(b"no database")
    assert rows(db, "t") == [] and rows(db, "loss") == [("then",)]


@pytest.mark.parametrize("at", range(1, 10))
def test_a_process_that_ends_while_it_puts_aside_leaves_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    path = tmp_path / "a.sqlite3"
    damage(path)
    count = 0

    def ending(call: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **more: object) -> object:
            nonlocal count
            count += 1
            if count == at:
                raise KeyboardInterrupt
            return call(*args, **more)

        return step

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, ending(getattr(Path, name)))
        patch.setattr(sqlite_file, "_sync_folder", ending(sqlite_file._sync_folder))
        with pytest.raises(KeyboardInterrupt):
            opened(path)
    db = opened(path)
    assert rows(db, "t") == [] and rows(db, "loss") == [("then",)]
    assert (tmp_path / "a.damaged").exists() and sorted(each.suffix for each in tmp_path.glob("a.new*")) == []


def test_what_is_about_the_surroundings_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    path.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        opened(path)
    assert path.is_dir() and not (tmp_path / "a.damaged").exists()
