"""The loop around a service, with a real bus to a real IPC server."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from edgeml.auth import verifier
from edgeml.errors import SourceError
from edgeml.ipc.bus import IpcBus
from edgeml.messages import Acknowledge, Health, Message, Status, decode, encode, topics
from edgeml.runtime import configuration_loader, main, status_reporter
from edgeml.runtime.runner import ServiceRunner
from edgeml.runtime.service import ComponentContext, Metrics
from tests.gglocal.ipc_world import EVERYTHING, World, world
from tests.independent_signer import sign
from tests.patience import PATIENCE_S

NAME = "com.test.One"
TOPIC = "edgeml/alerts/ack"


class Options(msgspec.Struct, frozen=True):
    level: Annotated[float, Meta(ge=0, le=1, description="a level")] = 0.5
    refuse: bool = False


class Service:
    """Records its messages; fails on an acknowledgement of `boom`."""

    topics: tuple[str, ...] = (TOPIC,)
    cloud_topics: tuple[str, ...] = ()
    instances: list[Service] = []

    def __init__(self, context: ComponentContext, options: Options) -> None:
        if options.refuse:
            raise SourceError("the sensor is missing; plug it in")
        self.options, self.messages, self.starts, self.closed = options, [], 0, False
        self._name = context.component
        Service.instances.append(self)

    def start(self) -> None:
        self.starts += 1

    def on_message(self, topic: str, message: Message) -> None:
        if isinstance(message, Acknowledge) and message.alarm == "boom":
            raise ZeroDivisionError("a bug")
        self.messages.append(message)

    def tick(self, now: float) -> float:
        return 0.05

    def status(self) -> Status:
        return Status(component=self._name, state="running")

    def metrics(self) -> Metrics:
        return Metrics(lag_s=0.5, queues={"own": (1, 2)}, drops={"own": 3})

    def close(self) -> None:
        self.closed = True


class Running:
    """A runner in a thread, its nucleus, and its status messages."""

    def __init__(self, nucleus: World, work: Path, configuration: dict, options: type = Options, create: Callable = Service) -> None:
        Service.instances = []
        self.nucleus, self.work, self.stamp = nucleus, work, time.time() * 1000
        self.statuses: list[Status] = []
        nucleus.do(nucleus.core.tap, self._on_delivery)
        self.configure({"accessControl": EVERYTHING, **configuration})
        bus = IpcBus(NAME)
        self.runner = ServiceRunner(bus, ComponentContext(bus, NAME, "t", work, work), options, create)
        self._thread = threading.Thread(target=self.runner.run)
        self._thread.start()

    def configure(self, values: dict) -> None:
        self.stamp += 1000
        self.nucleus.do(self.nucleus.core.config.merge, NAME, values, self.stamp)

    def publish(self, payload: bytes) -> None:
        """Publish as a process that has the device key."""
        self.publish_unsigned(sign(self.work / "messages.key", TOPIC, payload))

    def publish_unsigned(self, payload: bytes) -> None:
        from gglocal.core.pubsub import Message as Wire

        self.nucleus.do(self.nucleus.core.publish, TOPIC, Wire.of_bytes(payload))

    def until(self, holds: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < give_up, f"timed out waiting for {what}; statuses {self.statuses}"
            time.sleep(0.01)

    def end(self) -> None:
        self.runner.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _on_delivery(self, delivery: object) -> None:
        if delivery.topic == topics.STATUS:  # type: ignore[attr-defined]
            self.statuses.append(decode(delivery.payload))  # type: ignore


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    with world() as nucleus:
        monkeypatch.setenv("SVCUID", nucleus.token(NAME))
        monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
        started: list[Running] = []

        def start(work: Path = tmp_path, options: type = Options, create: Callable = Service, **configuration: object) -> Running:
            started.append(Running(nucleus, work, configuration, options, create))
            return started[-1]

        yield start
        for running in started:
            running.end()


def ack(alarm: str) -> bytes:
    return encode(Acknowledge(alarm=alarm))


def subscribed(running: Running) -> None:
    running.until(lambda: bool(running.statuses) and running.statuses[-1].state == "running", "running")


def test_messages_reach_the_service_and_invalid_ones_are_dropped(run, caplog):
    running = run()
    subscribed(running)
    for payload in (b"\xff\xff", b'{"type": "acknowledge", "v": 7}', ack("boom"), ack("a"), b'{"type": "acknowledge", "alarm": "b"}'):
        running.publish(payload)
    (service,) = Service.instances
    running.until(lambda: len(service.messages) == 2, "both acknowledgements")
    assert [message.alarm for message in service.messages] == ["a", "b"]
    assert "not a message of this suite" in caplog.text
    assert "of version 7; this component supports up to 1" in caplog.text
    assert "an unexpected error; this message or step is skipped" in caplog.text and "ZeroDivisionError" in caplog.text


def test_unsigned_messages_are_refused_and_reported_in_the_status(run, caplog):
    running = run()
    subscribed(running)
    signed = sign(running.work / "messages.key", TOPIC, ack("a"))
    for payload in (ack("x"), signed, signed, signed + b" ", b"edgeml1 x\n" + ack("x")):
        running.publish_unsigned(payload)
    running.publish(ack("b"))
    (service,) = Service.instances
    running.until(lambda: len(service.messages) == 2, "the signed messages")
    assert [message.alarm for message in service.messages] == ["a", "b"]
    assert running.runner._bus.verifier.refused == {"unsigned": 1, "replayed": 1, "forged": 1, "malformed": 1}
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running"
    assert "messages were refused: " in running.statuses[-1].faults[0]
    for sentence in (
        "has no signature",
        "repeats an earlier message unchanged",
        "was signed with another key",
        "has a malformed signature line",
    ):
        running.until(lambda sentence=sentence: f": it {sentence}" in caplog.text, sentence)


def test_unsigned_messages_are_accepted_if_configured(run):
    running = run(message_auth={"required": "false"})  # Lite returns scalars as text
    subscribed(running)
    running.publish_unsigned(ack("a"))
    running.until(lambda: bool(Service.instances[0].messages), "the message")
    running.configure({"message_auth": {"required": True}})
    running.until(lambda: len(Service.instances) == 2, "a new service")
    running.publish_unsigned(ack("x"))
    running.publish(ack("b"))
    running.until(lambda: bool(Service.instances[1].messages), "the message")
    assert [message.alarm for message in Service.instances[1].messages] == ["b"]


def test_missing_key_is_reported_until_it_exists(run, tmp_path, monkeypatch):
    monkeypatch.setattr(verifier, "KEY_CHECK_S", 0.1)
    key = tmp_path / "elsewhere"
    running = run(message_auth={"key_file": str(key)})
    running.until(lambda: bool(running.statuses) and bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running" and f"{key}: the device key cannot be read" in running.statuses[-1].faults[0]
    key.write_text("f" * 64)
    key.chmod(0o600)
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")
    running.publish_unsigned(sign(key, TOPIC, ack("a")))
    running.until(lambda: bool(Service.instances[0].messages), "the message")


def test_faults_of_common_and_own_options_are_reported_together(run):
    running = run(level=3, message_auth={"requird": True})
    running.until(lambda: bool(running.statuses), "a status")
    assert [fault.split(" ")[0] for fault in running.statuses[-1].faults] == ["`message_auth.requird`", "`level`"]


def test_files_are_readable_only_by_their_own_user(tmp_path, monkeypatch):
    monkeypatch.delenv("SVCUID", raising=False)
    before = os.umask(0)
    try:
        main.main(NAME, Options, Service, ["--work", str(tmp_path / "work")])
        (tmp_path / "work" / "file").write_text("")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "work", tmp_path / "work" / "file")] == [0, 0]


def test_changed_configuration_creates_a_new_service(run):
    running = run()
    subscribed(running)
    running.configure({"level": 0.75})
    running.until(lambda: len(Service.instances) == 2, "a new service")
    assert Service.instances[0].closed and Service.instances[1].options.level == 0.75
    running.publish(ack("a"))
    running.until(lambda: len(Service.instances[1].messages) == 1, "the message, once")


def test_wrong_configuration_leaves_the_service_unchanged_and_is_reported(run):
    running = run(level=0.25)
    subscribed(running)
    running.configure({"level": 3})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running" and "`level` is" in running.statuses[-1].faults[0]
    assert len(Service.instances) == 1 and not Service.instances[0].closed
    running.configure({"level": 0.5})
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")


def test_refused_configuration_falls_back_to_the_previous_one(run, caplog):
    running = run(level=0.25)
    subscribed(running)
    running.configure({"refuse": True})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].faults == ("the sensor is missing; plug it in",)
    running.until(lambda: len(Service.instances) == 2, "the previous configuration's service")
    assert Service.instances[1].options.level == 0.25
    assert "continuing with the previous configuration" in caplog.text


def test_refused_configuration_changes_no_message_authentication(run):
    running = run(level=0.25)
    subscribed(running)
    running.configure({"refuse": True, "message_auth": {"required": False}})
    running.until(lambda: len(Service.instances) == 2, "the previous configuration's service")
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    running.publish_unsigned(ack("x"))
    running.publish(ack("b"))
    running.until(lambda: bool(Service.instances[-1].messages), "the signed message")
    assert [message.alarm for message in Service.instances[-1].messages] == ["b"]


def test_side_by_side_service_is_untouched_by_a_refused_configuration(run, monkeypatch):
    monkeypatch.setattr(Service, "side_by_side", True, raising=False)
    running = run(level=0.25)
    subscribed(running)
    running.configure({"refuse": True})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running"
    (service,) = Service.instances
    assert not service.closed and service.starts == 1
    running.publish(ack("a"))
    running.until(lambda: len(service.messages) == 1, "a message to the continuing service")
    running.configure({"refuse": False, "level": 0.75})
    running.until(lambda: len(Service.instances) == 2, "its successor")
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")
    assert service.closed
    running.publish(ack("b"))
    running.until(lambda: len(Service.instances[1].messages) == 1, "a message to the successor, once")
    assert len(service.messages) == 1


def test_component_with_wrong_configuration_waits_for_a_valid_one(run):
    running = run(level="much")
    running.until(lambda: bool(running.statuses), "a status")
    assert running.statuses[-1].state == "faulty" and Service.instances == []
    running.configure({"level": "0.5"})
    subscribed(running)
    assert Service.instances[0].options.level == 0.5


def test_wrong_configuration_after_restart_falls_back_to_the_last_good_one(run):
    running = run(level=0.25)
    subscribed(running)
    running.end()
    again = run(level=7)  # Lite restarts a component when its configuration changes
    again.until(lambda: bool(again.statuses), "a status")
    assert again.statuses[-1].state == "running" and "`level` is" in again.statuses[-1].faults[0]
    assert Service.instances[-1].options.level == 0.25


def test_status_is_repeated_for_late_subscribers(run, monkeypatch):
    monkeypatch.setattr(status_reporter, "REPEAT_S", 0.1)
    running = run()
    running.until(lambda: len(running.statuses) > 3, "more of the same status")
    assert len(set(running.statuses)) == 1


def test_stop_closes_the_service(run):
    running = run()
    subscribed(running)
    running.end()
    assert Service.instances[0].closed


def test_needed_relaunch_has_its_own_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SVCUID", raising=False)
    assert main.main(NAME, Options, Service, ["--work", str(tmp_path)]) == main.RELAUNCH_EXIT


class Verbose(Service):
    """More faults, queues, assets and drops than a message can hold, with the worst texts."""

    faults: tuple[str, ...] = tuple(f"{number}: \x1b[31m" + "ü" * 500 for number in range(200))

    def status(self) -> Status:
        return Status(component=self._name, state="running", faults=self.faults)

    def metrics(self) -> Metrics:
        names = [f"{number}\x1b" + "ü" * 120 for number in range(200)]
        return Metrics(lag_s=0.5, queues=dict.fromkeys(names, (1, 2)), row_age_s=dict.fromkeys(names, 1.0), drops=dict.fromkeys(names, 1))


def test_status_and_health_always_fit_into_a_message(run):
    running = run(create=Verbose)
    healths: list[Health] = []
    running.nucleus.do(running.nucleus.core.tap, lambda d: healths.append(decode(d.payload)) if d.topic == topics.HEALTH else None)
    running.until(lambda: bool(running.statuses) and len(running.statuses[-1].faults) > 1, "a status")
    *kept, rest = running.statuses[-1].faults
    assert rest == f"and {200 - len(kept)} more; see the log" and len(kept) >= 9
    assert all(each.isprintable() and each.endswith("…") for each in kept)
    running.until(lambda: bool(healths), "a health")
    assert sum(healths[-1].drops.values()) == 200 and healths[-1].drops["other"] > 0
    assert "inbox" in healths[-1].queues and healths[-1].row_age_s
    Verbose.faults = ()
    running.until(lambda: not running.statuses[-1].faults, "a status without faults")


TOO_LARGE = {f"n{number}": 1 for number in range(130)}
"""More than 255 keys and values."""


def test_value_too_large_to_read_is_named_and_the_service_continues(run, caplog):
    running = run(level=0.25)
    subscribed(running)
    running.nucleus.do(running.nucleus.core.config.reset, NAME, ["level"])
    running.configure({"level": TOO_LARGE})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running"
    assert running.statuses[-1].faults[0].startswith("`level` cannot be read: with its nested values, it is larger")
    assert "is the nucleus's configuration store running" not in caplog.text
    running.nucleus.do(running.nucleus.core.config.reset, NAME, ["level"])
    running.configure({"level": 0.25})
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")
    (service,) = Service.instances
    assert not service.closed


def test_process_started_with_a_too_large_value_uses_the_last_good_configuration(run):
    running = run(level=0.25)
    subscribed(running)
    running.end()
    running.nucleus.do(running.nucleus.core.config.reset, NAME, ["level"])
    again = run(level=TOO_LARGE)
    again.until(lambda: bool(again.statuses), "a status")
    assert again.statuses[-1].state == "running" and "`level` cannot be read" in again.statuses[-1].faults[0]
    assert Service.instances[-1].options.level == 0.25


def test_configuration_with_large_unknown_keys_is_read_by_known_keys(run):
    running = run(level=0.75, big=TOO_LARGE)
    subscribed(running)
    assert Service.instances[0].options.level == 0.75


@pytest.mark.parametrize("removed", [True, False])
def test_missing_configuration_is_no_error_at_once(run, monkeypatch, caplog, removed):
    caplog.set_level("INFO")
    monkeypatch.setattr(configuration_loader, "REMOVAL_S", 60.0 if removed else 0.2)
    running = run(level=0.25)
    subscribed(running)
    running.nucleus.do(running.nucleus.core.config.reset, NAME, [])
    running.runner._loader.reload_at = 0.0  # the periodic poll
    running.until(lambda: "the whole configuration is gone" in caplog.text, "a poll")
    if removed:
        running.end()
        assert len(Service.instances) == 1
        errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR" and record.name.startswith("edgeml")]
        assert errors == []
    else:
        running.until(lambda: len(Service.instances) == 2, "the defaults")
        assert Service.instances[1].options.level == 0.5


class Timed(Service):
    """Records when each message was sent."""

    timed = True

    def on_message(self, topic: str, message: Message, sent_at: float = 0.0) -> None:
        self.messages.append((message, sent_at))


def test_timed_service_receives_the_time_of_sending(run, tmp_path):
    running = run(create=Timed)
    subscribed(running)
    signed = sign(tmp_path / "messages.key", TOPIC, ack("a"))
    signed_at = time.monotonic()
    time.sleep(0.5)
    running.publish_unsigned(signed)
    (service,) = Service.instances
    running.until(lambda: len(service.messages) == 1, "the acknowledgement")
    ((message, sent_at),) = service.messages
    assert message.alarm == "a" and abs(sent_at - signed_at) < 0.3


class WithPayload(Service):
    """Takes each message with its bytes."""

    takes_payload = True

    def on_message(self, topic: str, message: Message, payload: bytes = b"") -> None:
        self.messages.append((message, payload))


def test_service_that_takes_payloads_gets_the_bytes_without_their_signature(run):
    running = run(create=WithPayload)
    subscribed(running)
    running.publish(ack("a"))
    (service,) = Service.instances
    running.until(lambda: len(service.messages) == 1, "the acknowledgement")
    ((message, payload),) = service.messages
    assert message.alarm == "a" and payload == ack("a")


class Busy(Service):
    """A tick that blocks, like one that publishes while a broker is slow; `taken` has the number of ticks before each message."""

    def __init__(self, context: ComponentContext, options: Options) -> None:
        super().__init__(context, options)
        self.ticks, self.held, self.go, self.taken = 0, threading.Event(), threading.Event(), []

    def on_message(self, topic: str, message: Message) -> None:
        self.taken.append(self.ticks)
        self.held.set()

    def tick(self, now: float) -> float:
        self.ticks += 1
        if self.held.is_set() and not self.go.is_set():
            self.go.wait(PATIENCE_S)
        return 0.0


def test_messages_get_as_much_time_as_the_tick_took(run):
    running = run(create=Busy)
    subscribed(running)
    (service,) = Service.instances
    running.publish(ack("first"))
    running.until(service.held.is_set, "the first message")
    for number in range(40):
        running.publish(ack(str(number)))
    running.until(lambda: len(running.runner._bus.queue) >= 40, "the waiting messages")
    service.go.set()
    running.until(lambda: len(service.taken) == 41, "the messages that waited")
    assert len(set(service.taken[1:])) == 1
