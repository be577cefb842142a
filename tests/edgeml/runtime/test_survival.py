"""Only a broker that no longer knows us ends a component: an exit spends one of the nucleus's three errors an hour."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from alert_dispatcher.options import AlertDispatcherOptions as DispatcherOptions
from alert_dispatcher.service import STATE_FILE, AlertDispatcher
from edgeml.auth.verifier import MessageVerifier
from edgeml.ipc.bus import IpcBus
from edgeml.messages import Health, Status, decode, topics
from edgeml.runtime import configuration_loader, runner, status_reporter
from edgeml.runtime.main import main
from edgeml.runtime.service import ComponentContext, Metrics
from tests.edgeml.runtime.test_runner import NAME, Options, Running, Service, ack, run, subscribed  # noqa: F401
from tests.patience import PATIENCE_S

FAULTS: dict[str, Callable[[], Exception]] = {
    "memory": lambda: MemoryError(),
    "disk": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "database": lambda: sqlite3.OperationalError("database is locked"),
    "recursion": lambda: RecursionError("maximum recursion depth exceeded"),
}
IN_SERVICE = ("start", "tick", "on_message", "status", "metrics", "close")
IN_BUS = ("receive", "publish", "subscribe", "unsubscribe", "configuration", "message_ages")


class Switch:
    """Makes a method raise while it is on.

    Attributes:
        hits: number of times it raised.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, fault: Callable[[], Exception]) -> None:
        self.on, self.hits = False, 0
        real = getattr(kind, method)

        def call(*args: Any, **more: Any) -> Any:
            if self.on:
                self.hits += 1
                raise fault()
            return real(*args, **more)

        monkeypatch.setattr(kind, method, call)


def reported(running: Any) -> list[str]:
    """Every fault in a status so far."""
    return [fault for status in list(running.statuses) for fault in status.faults]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration_loader, "RETRY_FIRST_S", 0.1)
    monkeypatch.setattr(runner, "PAUSE_S", 0.05)
    monkeypatch.setattr(status_reporter, "REPEAT_S", 0.2)
    monkeypatch.setattr(configuration_loader, "READ_S", 0.2)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seam", IN_SERVICE)
def test_component_survives_and_reports_a_fault_in_its_service(run, monkeypatch, seam, fault):  # noqa: F811
    switch = Switch(monkeypatch, Service, seam, FAULTS[fault])
    running = run()
    subscribed(running)
    switch.on = True
    running.publish(ack("a"))
    if seam in ("start", "close"):
        running.configure({"level": 0.75})
    running.until(lambda: switch.hits > 0, "the fault")
    where = topics.ALERTS_ACK if seam == "on_message" else seam
    sentence = f"{where}: an unexpected error"
    # Search all statuses: on a busy machine the next one, without the fault, may arrive before this thread looks.
    running.until(lambda: any(each.startswith(sentence) for each in reported(running)), "its sentence")
    assert any(each.startswith(sentence) and type(FAULTS[fault]()).__name__ in each for each in reported(running))
    switch.on = False
    running.publish(ack("b"))
    running.until(lambda: any(getattr(message, "alarm", "") == "b" for message in Service.instances[-1].messages), "continued work")


@pytest.mark.parametrize("seam", IN_BUS)
def test_component_survives_a_fault_in_the_bus(run, monkeypatch, seam):  # noqa: F811
    switch = Switch(monkeypatch, IpcBus, seam, FAULTS["memory"])
    running = run()
    subscribed(running)
    switch.on = True
    running.configure({"level": 0.75})
    running.until(lambda: switch.hits > 0, "the fault")
    switch.on = False
    running.configure({"level": 0.25})
    # A service is started after its subscriptions: a message that is published before would be lost.
    running.until(lambda: Service.instances[-1].options.level == 0.25 and Service.instances[-1].starts > 0, "a new service")
    running.publish(ack("b"))
    running.until(lambda: len(Service.instances[-1].messages) == 1, "continued work")


def test_service_whose_subscription_fails_is_closed_and_its_start_is_retried(run, monkeypatch):  # noqa: F811
    switch = Switch(monkeypatch, IpcBus, "subscribe", FAULTS["memory"])
    running = run()
    subscribed(running)
    switch.on = True
    running.configure({"level": 0.75})
    sentence = "the component cannot start its work (MemoryError); retrying within a minute"
    running.until(lambda: sentence in reported(running), "its sentence")
    running.until(lambda: [each.options.level for each in Service.instances].count(0.75) > 2, "more tries")
    switch.on = False
    running.until(lambda: Service.instances[-1].options.level == 0.75 and Service.instances[-1].starts > 0, "the new service")
    assert all(each.closed for each in Service.instances[:-1])
    running.publish(ack("b"))
    running.until(lambda: len(Service.instances[-1].messages) == 1, "continued work")
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")


def test_fault_in_a_subscription_is_retried_although_the_previous_configuration_works(run, monkeypatch):  # noqa: F811
    switch = Switch(monkeypatch, IpcBus, "subscribe", FAULTS["memory"])
    real = IpcBus.subscribe

    def fail_once(bus: IpcBus, topic: str) -> None:
        try:
            real(bus, topic)
        finally:
            switch.on = False

    monkeypatch.setattr(IpcBus, "subscribe", fail_once)
    running = run()
    subscribed(running)
    switch.on = True
    running.configure({"level": 0.75})
    running.until(lambda: [each.options.level for each in Service.instances] == [0.5, 0.75, 0.5, 0.75], "the fall-back and the next try")
    running.until(lambda: Service.instances[-1].starts > 0, "the new service")
    running.publish(ack("b"))
    running.until(lambda: len(Service.instances[-1].messages) == 1, "continued work")


def test_component_survives_a_fault_in_the_verifier(run, monkeypatch):  # noqa: F811
    switch = Switch(monkeypatch, MessageVerifier, "tick", FAULTS["disk"])
    running = run()
    subscribed(running)
    switch.on = True
    running.until(lambda: any("No space left" in each for each in reported(running)), "its sentence")
    running.publish(ack("b"))
    running.until(lambda: len(Service.instances[-1].messages) == 1, "continued work")


@pytest.mark.parametrize("fault", FAULTS)
def test_failed_creation_of_a_service_is_retried(run, monkeypatch, fault):  # noqa: F811
    switch = Switch(monkeypatch, Service, "__init__", FAULTS[fault])
    switch.on = True
    running = run()
    running.until(lambda: bool(running.statuses), "a status")
    assert running.statuses[-1].state == "faulty"
    assert "the component cannot start its work" in running.statuses[-1].faults[0]
    running.until(lambda: switch.hits > 2, "more tries")
    switch.on = False
    subscribed(running)
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")


def test_component_waits_for_its_work_directory(run, tmp_path):  # noqa: F811
    work = tmp_path / "work"
    work.write_text("a file in place of the directory")
    running = run(work=work)
    running.until(lambda: bool(running.statuses), "a status")
    assert running.statuses[-1].state == "faulty" and "work" in running.statuses[-1].faults[0]
    work.unlink()
    subscribed(running)


def test_damaged_last_good_configuration_is_survived(run, tmp_path):  # noqa: F811
    (tmp_path / "last-good-configuration.json").write_bytes(b"\xff[")
    running = run(level="much")
    running.until(lambda: bool(running.statuses), "a status")
    assert running.statuses[-1].state == "faulty"
    running.configure({"level": 0.5})
    subscribed(running)


def test_component_waits_for_its_database(run, tmp_path):  # noqa: F811
    (tmp_path / STATE_FILE).mkdir()
    running = run(options=DispatcherOptions, create=AlertDispatcher)
    running.until(lambda: bool(running.statuses), "a status")
    assert running.statuses[-1].state == "faulty" and STATE_FILE in running.statuses[-1].faults[0]
    (tmp_path / STATE_FILE).rmdir()
    subscribed(running)


def test_process_starts_in_a_bad_environment_and_exits_with_0_on_sigterm(run, tmp_path, monkeypatch):  # noqa: F811
    run().end()  # makes the nucleus know us
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEML_LOG_LEVEL", "LOUD")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    begun = threading.Event()
    monkeypatch.setattr(runner.ServiceRunner, "_report", lambda self, report=runner.ServiceRunner._report: (report(self), begun.set())[0])
    threading.Thread(target=lambda: begun.wait(PATIENCE_S) and os.kill(os.getpid(), signal.SIGTERM)).start()
    try:
        assert main(NAME, Options, Service, ["--work", str(tmp_path / "file" / "work")]) == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_component_without_broker_waits_and_stops_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("SVCUID", "X")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(tmp_path / "none"))
    context = ComponentContext(None, NAME, "t", tmp_path, tmp_path)  # type: ignore[arg-type]
    waiting = runner.ServiceRunner(IpcBus(NAME), context, Options, Service)
    ended: list[str] = []

    def end() -> None:
        try:
            waiting.run()
            ended.append("stopped")
        except Exception as fault:
            ended.append(repr(fault))

    thread = threading.Thread(target=end)
    thread.start()
    give_up = time.monotonic() + PATIENCE_S
    while waiting._bus._connection._backoff.tries < 5 and time.monotonic() < give_up:  # a few attempts
        time.sleep(0.01)
    assert ended == [] and thread.is_alive()
    waiting.stop()
    thread.join(PATIENCE_S)
    assert ended == ["stopped"]


def test_health_contains_all_metrics(run):  # noqa: F811
    running = run()
    subscribed(running)
    healths: list[Health] = []

    def on_delivery(delivery: Any) -> None:
        if delivery.topic == topics.HEALTH:
            healths.append(decode(delivery.payload))  # type: ignore[arg-type]

    running.nucleus.do(running.nucleus.core.tap, on_delivery)
    running.publish(b"\xff\xff")
    running.until(lambda: bool(healths) and any("not understood" in reason for reason in healths[-1].drops), "a drop")
    health = healths[-1]
    assert (health.component, health.state, health.lag_s) == (NAME, "running", 0.5)
    assert health.queues["inbox"][1] == 2000 and health.queues["own"] == (1, 2)
    assert health.drops == {"own": 3, f"not understood: {topics.ALERTS_ACK}": 1}
    assert set(health.message_age_s) == {topics.ALERTS_ACK, topics.heartbeat(NAME)}
    assert isinstance(Service.instances[-1].metrics(), Metrics) and isinstance(running.statuses[-1], Status)
