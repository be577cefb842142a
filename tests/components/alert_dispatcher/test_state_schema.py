"""A state database of an earlier layout is migrated, and nothing that waits in it is lost."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from alert_dispatcher import state_schema
from alert_dispatcher.service import STATE_FILE
from alert_dispatcher.state_db import StateDb
from edgeml.cloud.outbox import OutboxOptions
from edgeml.messages import topics
from edgeml.timestamps import from_iso
from tests.components.alert_dispatcher.kit import ALARM, Bench, Killed, results

LAYOUT_1 = Path(__file__).with_name("state_layout_1.sql").read_text(encoding="utf-8")
OPTIONS = OutboxOptions(reserve_alerts=0)


def write_layout_1(work: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Write the database; returns its waiting alerts: number, alert, time of the decision, whether actions had it."""
    with closing(sqlite3.connect(work / STATE_FILE)) as db:
        db.executescript(LAYOUT_1)
        for statement in statements:
            db.execute(statement)
        db.commit()
        db.text_factory = bytes if statements else str
        return db.execute("SELECT no, alert, decided_ns, acted FROM outbox ORDER BY no").fetchall()


def renamed(alert: str) -> dict[str, Any]:
    return {key: "health/source-stalled" if value == "watch/source-stalled" else value for key, value in json.loads(alert).items()}


def test_waiting_alerts_keep_number_order_and_content(tmp_path):
    before = write_layout_1(tmp_path)
    assert [acted for *_, acted in before] == [1, 1, 1, 1, 1, 0] and len({json.loads(alert)["asset"] for _, alert, *_ in before}) == 2
    store = StateDb(tmp_path / STATE_FILE, OPTIONS)
    published, dispatched = store.alerts_to_publish(100), store.alerts_to_dispatch()
    after = [*((one, 1) for one in published), *((one, 0) for one in dispatched)]
    assert [(one.no, json.loads(one.json), one.decided_ns, flag) for one, flag in after] == [
        (no, renamed(alert), decided_ns, acted) for no, alert, decided_ns, acted in before
    ]
    assert [one.event_ns for one, _ in after] == [from_iso(json.loads(alert)["at"]) for _, alert, *_ in before]
    store.close()


def test_policies_alarms_commands_positions_and_outbox_are_kept(tmp_path):
    write_layout_1(tmp_path)
    with closing(sqlite3.connect(tmp_path / STATE_FILE)) as db:
        positions = db.execute("SELECT asset, stream, seq, end_ns FROM positions ORDER BY asset").fetchall()
        commands = db.execute("SELECT * FROM commands").fetchall()
        outgoing = db.execute("SELECT no, class, payload FROM outgoing").fetchall()
        memory = db.execute("SELECT * FROM memory").fetchall()
    store = StateDb(tmp_path / STATE_FILE, OPTIONS)
    assert {(saved.asset, saved.model) for saved in store.policies()} == {
        ("pump-1", "skab"),
        ("pump-2", "skab"),
        ("pump-1", "health/source-stalled"),
    }
    for saved in store.policies():
        assert saved.state.alarm is not None
        alarm = store.alarm(saved.state.alarm.id)
        assert alarm is not None and alarm.model == saved.state.alarm.model == saved.model
    assert sorted(store.stream_positions()) == positions and len(positions) == 2
    assert [tuple(row) for row in store.open_commands()] == commands and len(commands) == 1
    assert store.do("SELECT no, class, payload FROM outgoing") == outgoing and len(outgoing) > 2
    assert store.do("SELECT * FROM key_values") == memory
    assert store.do("PRAGMA user_version") == [(state_schema.VERSION,)]
    tables = {name for (name,) in store.do("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")}
    assert tables == {"policies", "stream_positions", "alarms", "pending_alerts", "commands", "key_values"} | {
        "outgoing",
        "outgoing_id",
        "outgoing_key",
    }
    store.close()


def test_component_continues_with_a_migrated_database(tmp_path):
    before = write_layout_1(tmp_path)
    bench = Bench(tmp_path)
    bench.wait(5)
    alerts = bench.alerts()
    assert [alert.id for alert in alerts[: len(before)]] == [json.loads(alert)["id"] for _, alert, *_ in before]
    assert bench.service._store.unpublished_count == 0
    health_alarm = next(alert.id for alert in alerts if alert.model == "health/source-stalled")
    bench.acknowledge(health_alarm)
    assert (bench.alerts()[-1].id, bench.alerts()[-1].state) == (health_alarm, "acknowledged")
    bench.results(ALARM[12:], 12)  # of pump-1, whose next sequence number is known
    bench.give(topics.RESULTS, results(ALARM[12:], 12, 1))
    assert bench.alerts()[-1].state == "cleared" and bench.alerts()[-1].id == json.loads(before[0][1])["id"]


def test_migration_is_one_transaction(tmp_path, monkeypatch):
    before = write_layout_1(tmp_path)

    def killed(text: str) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(state_schema, "from_iso", killed)
        with pytest.raises(Killed):
            StateDb(tmp_path / STATE_FILE, OPTIONS)
    with closing(sqlite3.connect(tmp_path / STATE_FILE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT no, alert, decided_ns, acted FROM outbox ORDER BY no").fetchall() == before
    store = StateDb(tmp_path / STATE_FILE, OPTIONS)
    assert len(store.alerts_to_publish(100)) + len(store.alerts_to_dispatch()) == len(before)
    store.close()


def test_damaged_cells_do_not_stop_the_migration(tmp_path):
    before = write_layout_1(
        tmp_path,
        "UPDATE outbox SET alert = CAST(x'ff7b' AS TEXT) WHERE no = 1",
        "UPDATE policies SET state = '[' WHERE asset = 'pump-2'",
        "UPDATE alarms SET body = 5",
        "DROP TABLE memory",
    )[1:]
    store = StateDb(tmp_path / STATE_FILE, OPTIONS)
    assert len(store.policies()) == 2
    assert len(store.alerts_to_publish(100)) + len(store.alerts_to_dispatch()) == len(before) == 5
    store.close()


def test_migrated_alert_is_no_longer_than_before(tmp_path):
    """An alert that no longer fits into a message would be refused for ever, and all later ones would wait behind it."""
    note = "Ж" * 1000
    before = write_layout_1(tmp_path, f"UPDATE outbox SET alert = json_set(alert, '$.note', '{note}')")
    store = StateDb(tmp_path / STATE_FILE, OPTIONS)
    alerts = [*store.alerts_to_publish(100), *store.alerts_to_dispatch()]
    assert {one.alert.model for one in alerts} == {"skab", "health/source-stalled"}
    assert all(
        one.alert.note == note and len(one.json) <= len(text) + len("health") for one, (_, text, *_) in zip(alerts, before, strict=True)
    )
    store.close()


@pytest.mark.parametrize("statement", ["DROP TABLE positions", f"PRAGMA user_version = {state_schema.VERSION + 1}"])
def test_incomplete_or_unknown_layout_is_set_aside(tmp_path, statement):
    with closing(sqlite3.connect(tmp_path / STATE_FILE)) as db:
        db.executescript(LAYOUT_1)
        db.execute(statement)
        db.commit()
    store = StateDb(tmp_path / STATE_FILE, OPTIONS)
    assert store.policies() == [] and (tmp_path / "alarms.damaged").exists()
    store.close()
