"""23: killed between any two steps, it ends with the same alarms, and the machine has executed one command for each."""

from __future__ import annotations

import sqlite3

import pytest

from edgeml.messages import Command, CommandAck, ReplayRequest, ReplayStart, decode, topics
from tests.components.alert_dispatcher.kit import ALARM, Bench, Killed, results

pytestmark = pytest.mark.slow("repeats a run for each step at which it can be killed")

BLOCKS = [results(ALARM[start : start + 5], start, start // 5) for start in range(0, len(ALARM), 5)] + [
    results(ALARM[start : start + 5], start + 60, 5 + start // 5) for start in range(0, len(ALARM), 5)
]


class World:
    """Inference, which replays, and a machine, which executes each command once, around a dispatcher that may be killed.

    Args:
        kill_at: number of the step before which the dispatcher is killed, 0 for never. A step is a statement of SQL or a publish.
    """

    def __init__(self, bench: Bench, kill_at: int) -> None:
        self.bench, self.kill_at = bench, kill_at
        self.steps = 0
        self.executed: list[str] = []
        self._seen = 0
        bench.bus.on_publish = lambda topic: self._step()
        self._watch()

    def run(self) -> None:
        self._give_all(BLOCKS)
        for _ in range(30):
            self._survive(lambda: self.bench.wait(0.5))
            self._answer()

    def _give_all(self, blocks: list) -> None:
        for block in blocks:
            self._survive(lambda block=block: self.bench.give(topics.RESULTS, block))
            self._answer()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed

    def _watch(self) -> None:
        store = self.bench.service._store
        store._db = CountedConnection(store._db, self._step)

    def _survive(self, work) -> None:
        try:
            work()
        except Killed:
            self.bench.kill()
            self.bench.restart()
            self.bench.service.tick(self.bench.now)
            self._answer()
            replay = self.bench.bus.messages(topics.REPLAY)[-1]
            assert isinstance(replay, ReplayRequest)
            again = [block for block in BLOCKS if int(block.arrays().times[-1]) > replay.since]
            if again:
                self.bench.give(topics.RESULTS, ReplayStart(asset="pump-1", stream="inference-1", first=again[0].seq))
            for block in again:
                self.bench.give(topics.RESULTS, block)
                self._answer()

    def _answer(self) -> None:
        commands = [decode(payload) for topic, payload in self.bench.bus.local if topic == topics.COMMANDS]
        new, self._seen = commands[self._seen :], len(commands)
        for command in new:
            assert isinstance(command, Command)
            if command.id not in self.executed:
                self.executed.append(command.id)
            ack = CommandAck(id=command.id, asset=command.asset, status="executed")
            self._survive(lambda ack=ack: self.bench.give(topics.COMMANDS_ACK, ack))


class CountedConnection:
    def __init__(self, db: sqlite3.Connection, step) -> None:
        self._db, self._step = db, step

    def execute(self, sql, values=()):
        self._step()
        return self._db.execute(sql, values)

    def __getattr__(self, name):
        return getattr(self._db, name)


def outcome(bench: Bench) -> list[tuple]:
    """Each alert once; a kill between publishing one and noting that publishes it again."""
    return list(dict.fromkeys((a.id, a.state, a.at, a.raised_at, a.cleared_at, a.peak_confidence) for a in bench.alerts()))


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("unharmed"), actions={"log": {}, "command": {}})
    world = World(bench, 0)
    world.run()
    assert [state for _, state, *_ in outcome(bench)] == ["pending", "active", "cleared"] * 2
    assert len(world.executed) == 2
    return world


def test_23_kill_between_any_two_steps_loses_nothing(unharmed, tmp_path):
    assert unharmed.steps > 100
    for kill_at in range(1, unharmed.steps + 1):
        work = tmp_path / str(kill_at)
        work.mkdir()
        world = World(Bench(work, actions={"log": {}, "command": {}}), kill_at)
        world.run()
        assert world.steps >= kill_at
        assert outcome(world.bench) == outcome(unharmed.bench), f"killed before step {kill_at}"
        assert world.executed == unharmed.executed, f"killed before step {kill_at}"
        states = {world.bench.service._store.command(command).status for command in world.executed}
        assert states == {"executed"}, f"killed before step {kill_at}"
