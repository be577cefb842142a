"""Commands: README 12 to 15."""

from __future__ import annotations

from edgeml.messages import Command
from edgeml.times import SECOND, to_iso
from sensor_ingestion.commands import REMEMBERED, Desk

from .kit import T0


class Machine:
    def __init__(self) -> None:
        self.done: list[str] = []
        self.actions = {name: lambda name=name: self.done.append(name) for name in ("stop", "start")}


def command(id: str = "c1", action: str = "stop", issued_at: str = to_iso(T0), timeout_s: float = 10.0) -> Command:
    return Command(id=id, asset="a", action=action, issued_at=issued_at, timeout_s=timeout_s)


def test_executed_once_and_acknowledged_twice_with_the_same_time() -> None:  # 12
    machine = Machine()
    desk = Desk(machine.actions)
    first, second = desk.take(command(), T0, T0), desk.take(command(), T0 + 60 * SECOND, T0 + 5 * SECOND)
    assert first == second and first is not None and first.status == "executed" and first.at == to_iso(T0)
    assert machine.done == ["stop"]


def test_once_over_restarts_too() -> None:  # 12
    machine = Machine()
    desk = Desk(machine.actions)
    desk.take(command(), T0, T0)
    ack = Desk(machine.actions, desk.executed).take(command(), T0, T0 + SECOND)
    assert machine.done == ["stop"] and ack is not None and ack.at == to_iso(T0)


def test_too_late() -> None:  # 13
    machine = Machine()
    desk = Desk(machine.actions)
    ack = desk.take(command(), T0 + 11 * SECOND, T0)
    assert ack is not None and ack.status == "expired" and machine.done == []
    in_time = desk.take(command("c2"), T0 + 10 * SECOND, T0)
    undated = desk.take(command("c3", issued_at=""), T0 + 999 * SECOND, T0)
    assert in_time is not None and undated is not None and in_time.status == undated.status == "executed"


def test_an_unknown_action_is_refused_with_the_valid_ones() -> None:  # 14
    machine = Machine()
    ack = Desk(machine.actions).take(command(action="explode"), T0, T0)
    assert ack is not None and ack.status == "refused" and "start, stop" in ack.detail and machine.done == []


def test_a_date_that_is_none_is_refused() -> None:
    ack = Desk(Machine().actions).take(command(issued_at="yesterday"), T0, T0)
    assert ack is not None and ack.status == "refused" and "ISO 8601" in ack.detail


def test_a_machine_that_hears_nothing_answers_nothing() -> None:  # 15
    assert Desk({}).take(command(), T0, T0) is None


def test_its_memory_is_bounded() -> None:
    desk = Desk(Machine().actions)
    for i in range(REMEMBERED + 5):
        desk.take(command(str(i)), T0, T0)
    assert len(desk.executed) == REMEMBERED and "4" not in desk.executed and "5" in desk.executed
