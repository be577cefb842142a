"""SQLite files are opened, and replaced if they are damaged, even if the process is killed meanwhile."""

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
        after_loss=lambda db: db.execute("INSERT INTO loss VALUES ('then')"),
    )


def rows(db: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return db.execute(f"SELECT * FROM {table}").fetchall()


def damage(path: Path) -> None:
    """Damage a file that had a row, and another one in its write-ahead log."""
    db = opened(path)
    db.execute("INSERT INTO t VALUES (1)")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("INSERT INTO t VALUES (2)")
    whole = path.read_bytes()
    log = path.with_name(path.name + "-wal").read_bytes()
    db.close()
    path.write_bytes(b"no database" + whole[11:])
    path.with_name(path.name + "-wal").write_bytes(log)


def test_written_rows_are_read_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    db = opened(path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",) and db.execute("PRAGMA synchronous").fetchone() == (2,)
    db.execute("INSERT INTO t VALUES (1)")
    db.close()
    assert rows(opened(path), "t") == [(1,)] and rows(opened(path), "loss") == []


def test_damaged_file_is_set_aside_and_reported_by_the_new_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.sqlite3"
    damage(path)
    db = opened(path)
    assert "a.damaged; all rows are lost" in caplog.text and (tmp_path / "a.damaged").read_bytes().startswith(b"no database")
    assert rows(db, "t") == [] and rows(db, "loss") == [("then",)]


@pytest.mark.parametrize("at", range(1, 10))
def test_kill_while_a_damaged_file_is_set_aside_loses_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
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


def test_environment_error_is_not_reported_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    path.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        opened(path)
    assert path.is_dir() and not (tmp_path / "a.damaged").exists()
