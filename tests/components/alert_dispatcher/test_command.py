"""Commands: once for each alarm, until acknowledged or too late, by a monotonic clock turned by hand."""

from __future__ import annotations

import pytest

from edgeml.timestamps import SECOND, boot_id, to_iso
from tests.components.alert_dispatcher.kit import ALARM, Bench


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, actions={"command": {"action": "stop", "timeout_s": 10, "retry_s": 2}})


def test_12_active_alarm_sends_one_command(bench):
    alarm = bench.raise_alarm()
    (command,) = bench.commands()
    assert (command.id, command.asset, command.action, command.alarm) == (f"{alarm}:stop", "pump-1", "stop", alarm)
    assert (command.issued_at, command.timeout_s) == (to_iso(int(bench.now * SECOND)), 10)
    bench.answer(command)
    bench.acknowledge(alarm)
    bench.wait(60)
    assert len(bench.commands()) == 1 and bench.service._store.command(command.id).status == "executed"


def test_12_pending_alarm_sends_no_command(bench):
    bench.results(ALARM[:8])
    bench.wait(20)
    assert [a.state for a in bench.alerts()] == ["pending"] and bench.commands() == []


def test_13_command_is_sent_again_until_acknowledged(bench):
    bench.raise_alarm()
    bench.wait(7)
    assert len(bench.commands()) == 3 and len({c.id for c in bench.commands()}) == 1
    assert len({c.issued_at for c in bench.commands()}) == 1
    bench.answer(bench.commands()[0])
    bench.wait(60)
    assert len(bench.commands()) == 3 and [a.note for a in bench.alerts()] == ["", ""]


def test_13_retry_interval_doubles_up_to_its_maximum(tmp_path):
    options = {"timeout_s": 60, "retry_s": 1, "retry_max_s": 6}
    bench = Bench(tmp_path, actions={"command": options})
    bench.raise_alarm()
    sent = []
    for half in range(1, 80):
        before = len(bench.commands())
        bench.wait(0.5)
        sent += [half / 2] * (len(bench.commands()) - before)
    assert sent == [1, 3, 7, 13, 19, 25, 31, 37]


def test_14_command_times_out_without_an_acknowledgement(bench, caplog):
    alarm = bench.raise_alarm()
    bench.wait(9.5)
    assert len(bench.commands()) == 3 and len(bench.alerts()) == 2
    bench.wait(60)
    assert len(bench.commands()) == 3
    last = bench.alerts()[-1]
    assert (len(bench.alerts()), last.id, last.state) == (3, alarm, "active")
    assert last.note == "pump-1 did not acknowledge the stop command within 10 s" and last.note in caplog.text
    bench.results(ALARM[12:], 12)
    assert bench.alerts()[-1].state == "cleared" and bench.alerts()[-1].note == last.note


def test_14_late_answer_is_noted(bench):
    bench.raise_alarm()
    bench.wait(11)
    bench.answer(bench.commands()[0])
    bench.service.tick(bench.now)
    assert bench.alerts()[-1].note.endswith("; pump-1 answered the stop command late with executed")
    assert bench.service._store.command(bench.commands()[0].id).status == "executed"


@pytest.mark.parametrize("status", ["refused", "expired", "unknown"])
def test_14_answer_other_than_executed_is_noted(bench, status):
    bench.raise_alarm()
    bench.answer(bench.commands()[0], status, "valve is in manual mode")
    bench.wait(60)
    assert len(bench.commands()) == 1
    assert bench.alerts()[-1].note == f"pump-1 answered the stop command with {status}: valve is in manual mode"


def test_14_long_answer_does_not_prevent_the_alert(bench):
    bench.raise_alarm()
    bench.answer(bench.commands()[0], "refused", "no, " * 1500)
    bench.wait(1)
    assert len(bench.alerts()[-1].note) < 400


def test_15_deadline_survives_a_restart(bench):
    bench.raise_alarm()
    bench.wait(5)
    bench.kill()
    sent = len(bench.commands())
    bench.now += 3
    bench.restart()
    bench.service.tick(bench.now)
    assert len(bench.commands()) == sent + 1
    bench.wait(60)
    assert len(bench.commands()) == sent + 1
    assert "did not acknowledge" in bench.alerts()[-1].note


def test_15_after_the_deadline_a_restart_sends_nothing(bench):
    bench.raise_alarm()
    bench.kill()
    sent = len(bench.commands())
    bench.now += 3600
    bench.restart()
    bench.wait(60)
    assert len(bench.commands()) == sent and "did not acknowledge" in bench.alerts()[-1].note


def test_15_wall_clock_set_back_does_not_extend_the_deadline(tmp_path):
    bench = Bench(tmp_path, actions={"command": {}})
    bench.raise_alarm()
    bench.kill()
    bench.now -= 500
    bench.restart()
    bench.wait(9)
    assert "did not" not in bench.alerts()[-1].note
    bench.wait(2)
    assert "did not acknowledge" in bench.alerts()[-1].note


@pytest.mark.parametrize("restart", [False, True])
def test_15_monotonic_clock_counts_when_the_wall_clock_is_set_back(bench, restart):
    bench.raise_alarm()
    issued = bench.commands()[0]
    assert (issued.issued_monotonic_s, issued.boot) == (1000.0, boot_id())
    bench.wait(5)
    bench.set_by = -3600
    if restart:
        bench.kill()
        bench.restart()
    bench.wait(4.5)
    assert "did not" not in bench.alerts()[-1].note
    assert {(c.issued_monotonic_s, c.issued_at) for c in bench.commands()} == {(1000.0, issued.issued_at)}
    bench.wait(1)
    assert "did not acknowledge" in bench.alerts()[-1].note


def test_15_wall_clock_set_forward_ends_the_command(bench):
    bench.raise_alarm()
    sent = len(bench.commands())
    bench.set_by = 3600
    bench.wait(5)
    assert len(bench.commands()) == sent and "did not acknowledge" in bench.alerts()[-1].note


def test_16_answer_to_another_command_is_ignored(bench):
    bench.raise_alarm()
    (command,) = bench.commands()
    bench.answer(type(command)(id=command.id, asset="pump-2", action="stop"))
    bench.answer(type(command)(id="another", asset="pump-1", action="stop"))
    bench.wait(6)
    assert len(bench.commands()) == 3


def test_17_sent_command_runs_to_its_deadline(bench, caplog):
    bench.raise_alarm()
    bench.results(ALARM[12:], 12)
    assert bench.alerts()[-1].state == "cleared"
    bench.wait(60)
    assert "pump-1 did not acknowledge the stop command within 10 s; check the machine" in caplog.text


def test_17_alarm_that_cleared_during_a_downtime_sends_no_command(bench):
    bench.results(ALARM)
    bench.wait(60)
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"] and bench.commands() == []


def test_18_failed_publish_is_retried(bench):
    bench.bus.failing_topics.add("edgeml/commands")
    bench.raise_alarm()
    bench.wait(4)
    assert bench.commands() == []
    bench.bus.failing_topics.clear()
    bench.wait(2)
    assert len(bench.commands()) == 1


def test_an_action_that_is_not_enabled_does_not_act(tmp_path):
    bench = Bench(tmp_path, actions={"command": {"enabled": "false"}, "log": {}})
    bench.raise_alarm()
    bench.wait(20)
    assert bench.commands() == [] and "edgeml/commands/ack" not in bench.service.topics
