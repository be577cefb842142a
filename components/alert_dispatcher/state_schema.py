"""Tables of the state database, and the migration of a database that an earlier version has written."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from edgeml.timestamps import from_iso

VERSION = 2
"""`PRAGMA user_version` of the layout below."""

_TABLES = (
    "CREATE TABLE policies (asset TEXT, model TEXT, model_version TEXT, state TEXT, PRIMARY KEY (asset, model))",
    "CREATE TABLE stream_positions (asset TEXT PRIMARY KEY, stream TEXT, next_seq INTEGER, end_ns INTEGER)",
    "CREATE TABLE alarms (id TEXT PRIMARY KEY, pending_ns INTEGER, alarm TEXT)",
    "CREATE TABLE pending_alerts (no INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT, event_ns INTEGER, decided_ns INTEGER,"
    " dispatched INTEGER DEFAULT 0)",
    "CREATE TABLE commands (id TEXT PRIMARY KEY, alarm TEXT, asset TEXT, action TEXT, issued_ns INTEGER, timeout_s REAL, status TEXT,"
    " send_count INTEGER DEFAULT 0)",
    "CREATE TABLE key_values (key TEXT PRIMARY KEY, value TEXT)",
)
_TABLES_1 = {"policies", "positions", "alarms", "outbox", "commands"}
"""Tables of layout 1; `memory` was added later, and a file may lack it."""
_MODELS_1 = {"watch/not-judged": "health/not-scored"}
"""Models of health alarms that layout 1 named otherwise, apart from their prefix."""


def create_or_migrate(db: sqlite3.Connection) -> None:
    """Create the tables in an empty database, or bring those of an earlier layout to this one, in one transaction.

    Raises:
        sqlite3.DatabaseError: the layout is unknown, or incomplete.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version not in (0, 1):
        raise sqlite3.DatabaseError(f"its layout is {version}; this component knows layouts up to {VERSION}")
    db.text_factory = _text
    db.execute("BEGIN IMMEDIATE")
    try:
        if version == 1:
            _migrate_1(db)
        else:
            for table in _TABLES:
                db.execute(table)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    finally:
        db.text_factory = str


def _migrate_1(db: sqlite3.Connection) -> None:
    """Rename tables and columns; every row stays, those that cannot be read too."""
    missing = _TABLES_1 - {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing:
        raise sqlite3.DatabaseError(f"its layout is 1, and it has no table {', '.join(sorted(missing))}")
    db.execute("CREATE TABLE IF NOT EXISTS memory (key TEXT PRIMARY KEY, value TEXT)")
    for table in ("policies", "positions", "alarms", "commands", "memory", "outbox"):
        db.execute(f"ALTER TABLE {table} RENAME TO {table}_1")
    for table in _TABLES:
        db.execute(table)
    for asset, model, model_version, state in db.execute("SELECT asset, model, model_version, state FROM policies_1").fetchall():
        row = asset, _model(model), model_version, _renamed(state)
        db.execute("INSERT INTO policies VALUES (?, ?, ?, ?)", row)
    # In the order of their insertion, by which the oldest are deleted.
    for alarm_id, pending_ns, alarm in db.execute("SELECT id, pending_at, body FROM alarms_1 ORDER BY rowid").fetchall():
        db.execute("INSERT INTO alarms VALUES (?, ?, ?)", (alarm_id, pending_ns, _renamed(alarm)))
    for no, alert, decided_ns, acted in db.execute("SELECT no, alert, decided_ns, acted FROM outbox_1").fetchall():
        db.execute("INSERT INTO pending_alerts VALUES (?, ?, ?, ?, ?)", (no, _renamed(alert), _event_ns(alert), decided_ns, acted))
    db.execute("INSERT INTO stream_positions SELECT asset, stream, seq, end_ns FROM positions_1")
    db.execute("INSERT INTO commands SELECT id, alarm, asset, action, issued_ns, timeout_s, status, sent FROM commands_1 ORDER BY rowid")
    db.execute("INSERT INTO key_values SELECT key, value FROM memory_1")
    for table in ("policies", "positions", "alarms", "commands", "memory", "outbox"):
        db.execute(f"DROP TABLE {table}_1")


def _text(cell: bytes) -> str:
    """Text of a cell; damaged bytes must not stop the migration."""
    return cell.decode(errors="replace")


def _model(model: Any) -> Any:
    if not isinstance(model, str) or not model.startswith("watch/"):
        return model
    return _MODELS_1.get(model, model.replace("watch/", "health/", 1))


def _renamed(text: Any) -> Any:
    """The JSON of a policy's state, an alarm or an alert, with the model's present name; unchanged if it cannot be read."""
    try:
        tree = msgspec.json.decode(text)
        holder = tree["alarm"] if isinstance(tree.get("alarm"), dict) else tree
        before = holder["model"]
        if _model(before) == before:
            return text
        holder["model"] = _model(before)
        return msgspec.json.encode(tree).decode()
    except (msgspec.MsgspecError, UnicodeError, TypeError, KeyError, AttributeError, RecursionError):
        return text


def _event_ns(text: Any) -> int:
    """Event time of an alert, from its JSON; 0 if it cannot be read."""
    try:
        return from_iso(msgspec.json.decode(text)["at"])
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return 0
