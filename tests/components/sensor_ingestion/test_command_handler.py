"""Commands: README 12 to 15 and 34 to 39, with the memory on disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgeml.errors import OptionsError
from edgeml.messages import Command, CommandAck, Release, topics
from edgeml.timestamps import SECOND, Moment, to_iso
from sensor_ingestion import command_journal
from sensor_ingestion.command_handler import CommandHandler
from sensor_ingestion.command_journal import FILE, CommandJournal

from .kit import T0, Bench, Clock

BOOT = "this-start"


def command(id: str = "c1", action: str = "stop", issued_at: str = to_iso(T0), timeout_s: float = 10.0, **more: Any) -> Command:
    return Command(id=id, asset="a", action=action, issued_at=issued_at, timeout_s=timeout_s, **more)


class Machine:
    """A machine that executes commands, its handler, and both clocks; `wall_s` and `monotonic_s` count from the time of issue."""

    def __init__(self, work: Path, lockout_after: str = "") -> None:
        self.work, self.lockout_after = work, lockout_after
        self.done: list[str] = []
        self.wall_s = self.monotonic_s = 0.0
        self.boot = BOOT
        self.actions: dict[str, Callable[[], None]] = {
            name: lambda name=name: self.done.append(name) for name in ("stop", "start", "restore")
        }
        self.restart()

    def restart(self) -> None:
        self.journal = CommandJournal(self.work, lambda: T0 + round(self.wall_s * SECOND))
        self.handler = CommandHandler("a", self.actions, self.journal, self.lockout_after)

    def take(self, command: Command, event_s: float = 0.0) -> CommandAck:
        now = Moment(T0 + round(self.wall_s * SECOND), 500.0 + self.monotonic_s, self.boot)
        ack = self.handler.take(command, now, T0 + round(event_s * SECOND))
        assert ack is not None
        return ack


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_command_is_executed_once_and_acknowledged_with_the_first_answer(machine: Machine) -> None:  # 12
    first = machine.take(command())
    assert (first.status, first.at) == ("executed", to_iso(T0))
    machine.wall_s = 3
    assert machine.take(command(), 5) == first
    machine.wall_s = 3600
    assert machine.take(command(), 6) == first
    machine.restart()
    assert machine.take(command(), 7) == first and machine.done == ["stop"]


def test_each_note_is_synced(machine: Machine) -> None:  # 12
    machine.take(command())
    db = machine.journal._db
    assert db is not None
    assert db.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert db.execute("PRAGMA synchronous").fetchall() == [(2,)], "FULL: the log is synced at each commit"


def test_journal_survives_another_configuration(tmp_path: Path) -> None:  # 12
    acks = []
    for seed in (3, 4):
        bench = Bench(tmp_path, {"a": {"source": "simulator", "options": {"seed": seed, "speed": 0}}})
        bench.tell(topics.COMMANDS, command())
        acks += bench.wire.take(topics.COMMANDS_ACK)
        bench.service.close()
    assert len(acks) == 2 and acks[0] == acks[1] and acks[0].status == "executed"


def test_command_executed_by_an_earlier_version_is_not_repeated(machine: Machine) -> None:  # 12
    machine.handler.import_executed({"c1": to_iso(T0 - SECOND)})
    machine.restart()
    ack = machine.take(command())
    assert (ack.status, ack.at, machine.done) == ("executed", to_iso(T0 - SECOND), [])


def test_journal_is_bounded_and_refusals_displace_no_executions(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:  # 12
    monkeypatch.setattr(command_journal, "MAX_BEGUN", 3)
    monkeypatch.setattr(command_journal, "MAX_REFUSED", 2)
    for i in range(5):
        machine.take(command(str(i)))
    for i in range(9):
        machine.take(command(f"late{i}", timeout_s=-1))
        machine.take(command(f"unknown{i}", "fly"))
    with sqlite3.connect(machine.work / FILE) as db:
        kept = [id for (id,) in db.execute("SELECT id FROM commands ORDER BY no")]
    assert kept == ["2", "3", "4", "late7", "late8"]


def test_command_expires_by_the_wall_clock(machine: Machine) -> None:  # 13
    machine.wall_s = 10
    assert machine.take(command("in time")).status == "executed"
    machine.wall_s = 10.5
    ack = machine.take(command("late"))
    assert (ack.status, ack.detail) == ("expired", "it arrived 0.5 s after its deadline")
    machine.wall_s = 99_999
    assert machine.take(command("undated", issued_at="")).status == "executed"
    assert machine.done == ["stop", "stop"]


def test_clock_set_back_does_not_revive_a_late_command(machine: Machine) -> None:  # 13
    dated = {"issued_monotonic_s": 500.0, "boot": BOOT}
    machine.wall_s, machine.monotonic_s = -3590, 10.5
    assert machine.take(command("late", **dated)).status == "expired"
    machine.monotonic_s = 9.5
    assert machine.take(command("in time", **dated)).status == "executed"
    assert machine.done == ["stop"]


def test_clock_set_forward_or_a_suspend_expires_a_command(machine: Machine) -> None:  # 13
    machine.wall_s, machine.monotonic_s = 3600, 1
    assert machine.take(command(issued_monotonic_s=500.0, boot=BOOT)).status == "expired"
    assert machine.done == []


def test_monotonic_clock_of_another_boot_is_ignored(machine: Machine) -> None:  # 13
    machine.wall_s, machine.monotonic_s = 1, -499
    assert machine.take(command(issued_monotonic_s=99_999.0, boot="an earlier start")).status == "executed"


def test_expired_answer_is_final_when_the_clock_is_set_back(machine: Machine) -> None:  # 13
    machine.wall_s = 11
    first = machine.take(command())
    machine.wall_s = 1
    machine.restart()
    assert machine.take(command()) == first and first.status == "expired" and machine.done == []


@pytest.mark.parametrize("timeout_s", [float("nan"), -1.0])
def test_invalid_timeout_expires_at_once(machine: Machine, timeout_s: float) -> None:  # 13
    assert machine.take(command(timeout_s=timeout_s)).status == "expired" and machine.done == []


def test_unknown_action_is_refused_with_the_valid_ones(machine: Machine) -> None:  # 14
    ack = machine.take(command(action="explode"))
    assert ack.status == "refused" and "restore, start, stop" in ack.detail and machine.done == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issued_at": "yesterday"}, "ISO 8601"),
        ({"id": ""}, "1 to 256"),
        ({"id": "x" * 257}, "257 characters"),
    ],
)
def test_invalid_id_or_time_is_refused(machine: Machine, change: dict[str, str], said: str) -> None:  # 14
    ack = machine.take(command(**change))  # type: ignore[arg-type]
    assert ack.status == "refused" and said in ack.detail and machine.done == []


def test_machine_without_actions_answers_nothing(tmp_path: Path) -> None:  # 15
    assert CommandHandler("a", {}, CommandJournal(tmp_path, lambda: T0)).take(command(), Moment(T0), T0) is None
    assert list(tmp_path.iterdir()) == []


def test_failed_action_is_unknown_and_not_repeated(machine: Machine) -> None:  # 35
    tries = []

    def fail() -> None:
        tries.append(1)
        raise OSError("the contactor does not answer")

    machine.actions["stop"] = fail
    ack = machine.take(command())
    assert ack.status == "unknown" and "the contactor does not answer" in ack.detail
    machine.restart()
    assert machine.take(command()) == ack and tries == [1]


def test_handler_executes_nothing_without_its_journal(machine: Machine) -> None:  # 36
    machine.take(command("before"))
    with sqlite3.connect(machine.work / FILE, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        ack = machine.take(command())
        assert ack.status == "refused" and "commands.sqlite3 cannot be used (database is locked)" in ack.detail
        other.execute("ROLLBACK")
    # The sender got a refusal; a copy that arrives when the disk works again must not be executed.
    assert machine.take(command()) == ack and machine.done == ["stop"]
    assert machine.take(command("after")).status == "executed"


def test_full_disk_refuses_commands(machine: Machine) -> None:  # 36
    machine.take(command("before"))
    db = machine.journal._db
    assert db is not None
    ((pages,),) = db.execute("PRAGMA page_count").fetchall()
    db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite reports this as a full disk
    statuses = [machine.take(command(f"{i}-{'x' * 200}")).status for i in range(200)]
    executed = statuses.count("executed")
    assert set(statuses[executed:]) == {"refused"} and 0 < executed < 200
    assert len(machine.done) == executed + 1


def test_damaged_journal_is_set_aside_and_no_earlier_command_executed(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:  # 36
    machine.take(command())
    machine.journal.close()
    (machine.work / FILE).write_bytes(os.urandom(5000))
    machine.wall_s = 2
    machine.restart()
    ack = machine.take(command())
    assert ack.status == "unknown" and "journal of commands was lost" in ack.detail and machine.done == ["stop"]
    assert "damaged" in caplog.text and (machine.work / "commands.damaged").exists()
    assert machine.take(command("c2", issued_at=to_iso(T0 + 2 * SECOND))).status == "executed"


def test_command_dated_ahead_is_refused(machine: Machine) -> None:  # 37
    machine.wall_s = -4
    assert machine.take(command("a little")).status == "executed"
    machine.wall_s = -30
    ack = machine.take(command())
    assert ack.status == "refused" and "30.0 s ahead" in ack.detail and machine.done == ["stop"]


def release(by: str = "Ada") -> Release:
    return Release(asset="a", by=by, note="the valve is open again")


def test_lockout_lasts_until_a_person_releases_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:  # 38
    machine = Machine(tmp_path, "stop")
    assert machine.take(command("c0", "start")).status == "executed" and not machine.handler.lockout
    machine.take(command("c1", "stop"))
    for _ in range(2):
        for action in ("start", "restore"):
            ack = machine.take(command(f"{action}", action))
            assert ack.status == "refused" and f"locked out since {to_iso(T0)} by command c1" in ack.detail
            assert '{"type":"release","asset":"a","by":"…"}' in ack.detail and topics.COMMANDS_RELEASE in ack.detail
        machine.restart()
    assert machine.take(command("c2", "stop")).status == "executed"
    machine.handler.release(release(by=" \n"))
    assert machine.handler.lockout and "names nobody" in caplog.text
    machine.handler.release(release())
    assert machine.take(command("start", "start")).status == "refused", "it was answered before"
    machine.restart()
    assert machine.take(command("c3", "start")).status == "executed"
    assert machine.done == ["start", "stop", "stop", "start"]


def test_failed_stop_locks_the_machine_out(tmp_path: Path) -> None:  # 38
    machine = Machine(tmp_path, "stop")
    machine.actions["stop"] = lambda: 1 / 0  # type: ignore[assignment, return-value]
    assert machine.take(command()).status == "unknown"
    machine.restart()
    assert machine.take(command("c2", "start")).status == "refused"


def test_machine_counts_as_locked_out_after_a_loss(tmp_path: Path) -> None:  # 36, 38
    (tmp_path / FILE).write_bytes(os.urandom(5000))
    machine = Machine(tmp_path, "stop")
    assert "because the journal of commands was lost" in machine.take(command("c1", "start")).detail
    machine.handler.release(release())
    machine.restart()
    assert machine.take(command("c2", "start")).status == "executed"


def test_lockout_in_the_service_its_status_and_its_topic(tmp_path: Path) -> None:  # 38, 39
    asset = {"source": "simulator", "options": {"speed": 0}, "lockout_after": "stop"}
    bench = Bench(tmp_path, {"a": asset})
    assert topics.COMMANDS_RELEASE in bench.service.topics and bench.service.status().faults == ()

    def send(id: str, action: str, topic: str = topics.COMMANDS) -> list[str]:
        bench.tell(topic, command(id, action))
        return [ack.status for ack in bench.wire.take(topics.COMMANDS_ACK)]

    assert send("c0", "stop", topics.REPLAY) == []
    assert send("c1", "stop") == ["executed"]
    assert bench.service.status().faults[0].startswith("a is locked out since")
    bench.tell(topics.REPLAY, release())
    assert send("c2", "start") == ["refused"]
    bench.tell(topics.COMMANDS_RELEASE, release())
    assert send("c3", "start") == ["executed"] and bench.service.status().faults == ()


def test_lockout_after_an_unknown_action_is_refused(tmp_path: Path) -> None:  # 38
    with pytest.raises(
        OptionsError, match=r"`assets\.a\.lockout_after` is 'halt', which is no action of its source; its actions are restore, start, stop"
    ):
        Bench(tmp_path, {"a": {"source": "simulator", "lockout_after": "halt"}}, Clock())


def overwrite(work: Path) -> None:
    for path in work.glob(FILE + "*"):
        with path.open("r+b") as file:  # the same file, as a failing disk leaves it
            file.write(os.urandom(path.stat().st_size))


def take_away(work: Path) -> None:
    for path in work.glob(FILE + "*"):
        path.unlink()


def put_another_there(work: Path) -> None:
    (work / "other").write_bytes(os.urandom(5000))
    (work / "other").replace(work / FILE)


@pytest.mark.parametrize("damage", [overwrite, take_away, put_another_there])
def test_journal_damaged_while_open_is_replaced(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:  # 36
    machine = Machine(tmp_path, "stop")
    machine.wall_s = 1
    done = [machine.take(command(f"c{i}", "start", to_iso(T0 + SECOND))) for i in range(200)]
    refused = machine.take(command("c-old", timeout_s=-1))
    machine.wall_s = 2
    damage(tmp_path)
    fresh = command("stop", issued_at=to_iso(T0 + SECOND))
    ack = machine.take(fresh)
    assert ack.status == "executed" and machine.done.count("stop") == 1, "the next command is executed"
    if damage is not overwrite:  # the cache still answers; a restart detects the damage
        assert machine.journal.fault.endswith(caplog.records[-1].getMessage()) and "removed or replaced" in machine.journal.fault
        assert ("renamed to commands.damaged" in machine.journal.fault) == (damage is put_another_there)
    machine.restart()
    # At most once: executed commands are not repeated, and refused ones stay refused, as far as they are known.
    assert [machine.take(command(f"c{i}", "start", to_iso(T0 + SECOND))).status for i in (0, 199)] in (["executed"] * 2, ["unknown"] * 2)
    assert machine.take(command("c-old", timeout_s=-1)).status in (refused.status, "unknown")
    assert machine.take(fresh).status in ("executed", "unknown") and machine.take(command("x3", "start")).status != "executed"
    assert machine.done == ["start"] * 200 + ["stop"] and done[0].status == "executed"
    assert machine.handler.lockout
    machine.wall_s = 4
    machine.handler.release(release())
    assert machine.take(command("x4", "start", to_iso(T0 + 4 * SECOND))).status == "executed"


class Malformed:
    """A connection on which SQLite finds the file malformed from some statement on."""

    def __init__(self, db: sqlite3.Connection, after: int) -> None:
        self._db, self._left = db, after

    def execute(self, *arguments: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise sqlite3.DatabaseError("database disk image is malformed")
        return self._db.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@pytest.mark.parametrize("after", range(12))
def test_damage_at_any_statement_neither_refuses_nor_repeats_a_command(tmp_path: Path, after: int) -> None:  # 36
    machine = Machine(tmp_path, "stop")
    assert machine.take(command("c0", "start")).status == "executed"
    machine.wall_s = 1
    machine.journal._db = Malformed(machine.journal._db, after)  # type: ignore[assignment, arg-type]
    assert machine.take(command("c1", "stop", to_iso(T0))).status == "executed"
    for _ in range(2):
        assert machine.take(command("c1", "stop", to_iso(T0))).status == "executed"
        assert machine.take(command("c0", "start")).status == "executed"
        assert machine.take(command("c2", "start")).status == "refused" and machine.done == ["start", "stop"]
        machine.restart()
    assert "since" in machine.handler.lockout


def test_known_since_is_no_earlier_than_dropped_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # 36
    monkeypatch.setattr(command_journal, "MAX_OWN", 2)
    machine = Machine(tmp_path)
    for i in range(3):
        machine.wall_s = i
        assert machine.take(command(f"c{i}", issued_at=to_iso(T0 + i * SECOND))).status == "executed"
    put_another_there(tmp_path)
    machine.wall_s = 4
    answers = [machine.take(command(f"c{i}", issued_at=to_iso(T0 + i * SECOND))).status for i in range(3)]
    assert answers == ["unknown", "executed", "executed"] and machine.done == ["stop"] * 3
    assert machine.take(command("new", issued_at=to_iso(T0 + 3 * SECOND))).status == "executed"


def test_damaged_journal_is_reported(tmp_path: Path) -> None:  # 36
    bench = Bench(tmp_path, {"a": {"source": "simulator", "options": {"speed": 0}}})
    bench.tell(topics.COMMANDS, command())
    assert bench.service.status().faults == ()
    put_another_there(tmp_path)
    bench.tell(topics.COMMANDS, command("c2"))
    assert [ack.status for ack in bench.wire.take(topics.COMMANDS_ACK)] == ["executed", "executed"]
    (fault,) = bench.service.status().faults
    assert "the journal of commands" in fault and "was damaged" in fault and "check whether the machines executed them" in fault


def test_lockout_of_an_earlier_version_is_kept(tmp_path: Path) -> None:  # 38
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(
            "CREATE TABLE commands (no INTEGER PRIMARY KEY AUTOINCREMENT, asset TEXT, id TEXT, acted INTEGER, status TEXT, at TEXT,"
            " detail TEXT, UNIQUE (asset, id)); CREATE TABLE latches (asset TEXT PRIMARY KEY, command TEXT, at TEXT, released INTEGER);"
            " CREATE TABLE loss (at_ns INTEGER); INSERT INTO latches VALUES ('a', 'c1', '2020-03-09T10:00:00.000Z', 0), ('b', '', '', 1);"
        )
    machine = Machine(tmp_path, "stop")
    assert "since 2020-03-09T10:00:00.000Z by command c1" in machine.handler.lockout
    assert machine.take(command("c2", "start")).status == "refused" and machine.done == []
    assert machine.journal.lockout("b") is None
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name IN ('latches', 'lockouts')")] == ["lockouts"]
