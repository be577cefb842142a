"""23: a power cut undoes no decision, because SQLite syncs the transaction that stores it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from alert_dispatcher.state_db import StateDb
from edgeml.messages import Health, topics
from tests.components.alert_dispatcher.kit import ALARM, Bench

FULL, NORMAL = 2, 1
"""Values of `PRAGMA synchronous`: the write-ahead log is synced at each commit, or not."""


@contextmanager
def recorded_commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, list[str]]]]:
    """For each commit, the value of `PRAGMA synchronous` and the states of the alarms that the transaction stored."""
    commits: list[tuple[int, list[str]]] = []
    unsaved: list[str] = []
    save_alarm, do = StateDb.save_alarm, StateDb.do

    def saving(self: StateDb, alarm: Any) -> None:
        unsaved.append(alarm.state)
        save_alarm(self, alarm)
        if not self._db.in_transaction:  # each statement is its own transaction
            commits.append((NORMAL, [alarm.state]))

    def doing(self: StateDb, sql: str, *values: Any) -> list[Any]:
        if sql == "COMMIT":
            ((level,),) = do(self, "PRAGMA synchronous")
            commits.append((level, unsaved.copy()))
            unsaved.clear()
        return do(self, sql, *values)

    with monkeypatch.context() as patch:
        patch.setattr(StateDb, "save_alarm", saving)
        patch.setattr(StateDb, "do", doing)
        yield commits


def decide(bench: Bench) -> None:
    bench.results(ALARM[:12])


def expire(bench: Bench) -> None:
    bench.wait(90, step=5)


def acknowledge(bench: Bench) -> None:
    bench.acknowledge(bench.alerts()[-1].id)


def stall_source(bench: Bench) -> None:
    for _ in range(4):
        report = Health(component="com.edgeml.SensorIngestion", at="2020-03-09T10:14:33.000Z", state="running", row_age_s={"pump-1": 61.0})
        bench.give(topics.HEALTH, report)
        bench.wait(5)


@pytest.mark.parametrize(
    ("step", "states"),
    [
        (decide, ["pending", "active"]),
        (expire, ["cleared"]),
        (acknowledge, ["acknowledged"]),
        (stall_source, ["pending", "active"]),
    ],
)
def test_23_decision_is_synced_when_it_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Callable[[Bench], None], states: list[str]
) -> None:
    bench = Bench(tmp_path, actions={"log": {}}, expiry={"silent_after_s": 60}, health_alarms={"component_after_s": 0})
    if step in (expire, acknowledge):
        bench.raise_alarm()
    with recorded_commits(monkeypatch) as commits:
        step(bench)
    decisions = [(level, stored) for level, stored in commits if stored]
    assert [state for _, stored in decisions for state in stored] == states
    assert {level for level, _ in decisions} == {FULL}


def test_23_results_without_a_decision_are_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    bench.raise_alarm()
    with recorded_commits(monkeypatch) as commits:
        bench.results([0.97], 12)
    assert commits and {level for level, _ in commits} == {NORMAL}, "a sync for each result would wear the disk out"


def test_8_alert_is_dispatched_again_if_a_power_cut_undoes_its_dispatch(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.mute = True
    alarm = bench.raise_alarm()
    # What a power cut may undo: all transactions after the decision, which are not synced.
    bench.service._store.do("UPDATE pending_alerts SET dispatched = 0")
    bench.service._store.do("DELETE FROM outgoing")
    bench.kill()
    bench.bus.cloud.clear()
    bench.restart()
    bench.wait(30)
    assert alarm in str(bench.bus.cloud)
