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
from edgeml.runtime import runner, status_reporter
from edgeml.runtime.runner import ComponentContext, ServiceRunner
from edgeml.runtime.status_reporter import Metrics
from gglocal.cli.signed_messages import seal
from tests.gglocal.ipc_world import EVERYTHING, World, world
from tests.patience import PATIENCE_S

NAME = "com.test.One"
TOPIC = "edgeml/alerts/ack"


class Options(msgspec.Struct, frozen=True):
    level: Annotated[float, Meta(ge=0, le=1, description="a level")] = 0.5
    refuse: bool = False


class Service:
    """Keeps what it is given; `boom` makes it fail on that message."""

    topics: tuple[str, ...] = (TOPIC,)
    cloud_topics: tuple[str, ...] = ()
    made: list[Service] = []

    def __init__(self, context: ComponentContext, options: Options) -> None:
        if options.refuse:
            raise SourceError("the sensor is not there; plug it in")
        self.options, self.messages, self.starts, self.closed = options, [], 0, False
        self._name = context.component
        Service.made.append(self)

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

    def vitals(self) -> Metrics:
        return Metrics(lag_s=0.5, queues={"own": (1, 2)}, drops={"own": 3})

    def close(self) -> None:
        self.closed = True


class Running:
    """An app in a thread, the nucleus it talks to, and what it says of itself."""

    def __init__(self, nucleus: World, work: Path, configuration: dict, options: type = Options, make: Callable = Service) -> None:
        Service.made = []
        self.nucleus, self.work, self.stamp = nucleus, work, time.time() * 1000
        self.statuses: list[Status] = []
        nucleus.do(nucleus.core.tap, self._hear)
        self.configure({"accessControl": EVERYTHING, **configuration})
        bus = IpcBus(NAME)
        self.app = ServiceRunner(bus, ComponentContext(bus, NAME, "t", work, work), options, make)
        self._thread = threading.Thread(target=self.app.run)
        self._thread.start()

    def configure(self, values: dict) -> None:
        self.stamp += 1000
        self.nucleus.do(self.nucleus.core.config.merge, NAME, values, self.stamp)

    def publish(self, payload: bytes) -> None:
        """As somebody who has the core's key."""
        self.publish_bare(seal(self.work / "messages.key", TOPIC, payload))

    def publish_bare(self, payload: bytes) -> None:
        from gglocal.core.pubsub import Message as Wire

        self.nucleus.do(self.nucleus.core.publish, TOPIC, Wire.of_bytes(payload))

    def until(self, holds: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < give_up, f"{what} did not come; statuses {self.statuses}"
            time.sleep(0.01)

    def end(self) -> None:
        self.app.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _hear(self, delivery: object) -> None:
        if delivery.topic == topics.STATUS:  # type: ignore[attr-defined]
            self.statuses.append(decode(delivery.payload))  # type: ignore


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    with world() as nucleus:
        monkeypatch.setenv("SVCUID", nucleus.token(NAME))
        monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
        started: list[Running] = []

        def start(work: Path = tmp_path, options: type = Options, make: Callable = Service, **configuration: object) -> Running:
            started.append(Running(nucleus, work, configuration, options, make))
            return started[-1]

        yield start
        for running in started:
            running.end()


def ack(alarm: str) -> bytes:
    return encode(Acknowledge(alarm=alarm))


def subscribed(running: Running) -> None:
    running.until(lambda: bool(running.statuses) and running.statuses[-1].state == "running", "running")


def test_messages_reach_the_service_and_what_is_none_is_dropped(run, caplog):
    running = run()
    subscribed(running)
    for payload in (b"\xff\xff", b'{"type": "acknowledge", "v": 7}', ack("boom"), ack("a"), b'{"type": "acknowledge", "alarm": "b"}'):
        running.publish(payload)
    (service,) = Service.made
    running.until(lambda: len(service.messages) == 2, "both acknowledgements")
    assert [message.alarm for message in service.messages] == ["a", "b"]
    assert "no message of this suite" in caplog.text
    assert "of version 7, this component knows up to 1" in caplog.text
    assert "an unexpected error; this message or step is skipped" in caplog.text and "ZeroDivisionError" in caplog.text


def test_what_is_not_sealed_is_refused_and_said_in_the_status(run, caplog):
    running = run()
    subscribed(running)
    sealed = seal(running.work / "messages.key", TOPIC, ack("a"))
    for payload in (ack("x"), sealed, sealed, sealed + b" ", b"edgeml1 x\n" + ack("x")):
        running.publish_bare(payload)
    running.publish(ack("b"))
    (service,) = Service.made
    running.until(lambda: len(service.messages) == 2, "what was sealed")
    assert [message.alarm for message in service.messages] == ["a", "b"]
    assert running.app._bus.guard.refused == {"unsealed": 1, "replayed": 1, "forged": 1, "malformed": 1}
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running"
    assert "messages were refused: " in running.statuses[-1].faults[0]
    for sentence in ("has no seal", "was sent again as it was", "was sealed with another key", "begins like a seal and is none"):
        running.until(lambda sentence=sentence: f"is refused: it {sentence}" in caplog.text, sentence)


def test_without_seals_where_the_configuration_says_so(run):
    running = run(message_auth={"required": "false"})  # as Lite hands out scalars
    subscribed(running)
    running.publish_bare(ack("a"))
    running.until(lambda: bool(Service.made[0].messages), "the message")
    running.configure({"message_auth": {"required": True}})
    running.until(lambda: len(Service.made) == 2, "a new service")
    running.publish_bare(ack("x"))
    running.publish(ack("b"))
    running.until(lambda: bool(Service.made[1].messages), "the message")
    assert [message.alarm for message in Service.made[1].messages] == ["b"]


def test_without_its_key_it_lives_and_says_why_until_that_is_mended(run, tmp_path, monkeypatch):
    monkeypatch.setattr(verifier, "KEY_S", 0.1)
    key = tmp_path / "elsewhere"
    running = run(message_auth={"key_file": str(key)})
    running.until(lambda: bool(running.statuses) and bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running" and f"{key}: the core's key cannot be read" in running.statuses[-1].faults[0]
    key.write_text("f" * 64)
    key.chmod(0o600)
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")
    running.publish_bare(seal(key, TOPIC, ack("a")))
    running.until(lambda: bool(Service.made[0].messages), "the message")


def test_faults_of_the_common_options_are_said_together_with_its_own(run):
    running = run(level=3, message_auth={"requird": True})
    running.until(lambda: bool(running.statuses), "a status")
    assert [fault.split(" ")[0] for fault in running.statuses[-1].faults] == ["`message_auth.requird`", "`level`"]


def test_what_it_writes_is_for_its_own_user_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SVCUID", raising=False)
    before = os.umask(0)
    try:
        runner.main(NAME, Options, Service, ["--work", str(tmp_path / "work")])
        (tmp_path / "work" / "file").write_text("")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "work", tmp_path / "work" / "file")] == [0, 0]


def test_a_changed_configuration_makes_the_service_anew(run):
    running = run()
    subscribed(running)
    running.configure({"level": 0.75})
    running.until(lambda: len(Service.made) == 2, "a new service")
    assert Service.made[0].closed and Service.made[1].options.level == 0.75
    running.publish(ack("a"))
    running.until(lambda: len(Service.made[1].messages) == 1, "the message, once")


def test_a_wrong_change_leaves_the_service_as_it_is_and_is_said(run):
    running = run(level=0.25)
    subscribed(running)
    running.configure({"level": 3})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running" and "`level` is" in running.statuses[-1].faults[0]
    assert len(Service.made) == 1 and not Service.made[0].closed
    running.configure({"level": 0.5})
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")


def test_a_change_that_the_service_cannot_do_goes_back_to_what_worked(run, caplog):
    running = run(level=0.25)
    subscribed(running)
    running.configure({"refuse": True})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].faults == ("the sensor is not there; plug it in",)
    running.until(lambda: len(Service.made) == 2, "the previous configuration's service")
    assert Service.made[1].options.level == 0.25
    assert "going on with the previous configuration" in caplog.text


def test_a_service_that_can_stand_beside_its_successor_is_not_touched_by_a_change_that_is_refused(run, monkeypatch):
    monkeypatch.setattr(Service, "side_by_side", True, raising=False)
    running = run(level=0.25)
    subscribed(running)
    running.configure({"refuse": True})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running"
    (service,) = Service.made
    assert not service.closed and service.starts == 1
    running.publish(ack("a"))
    running.until(lambda: len(service.messages) == 1, "a message to the one that goes on")
    running.configure({"refuse": False, "level": 0.75})
    running.until(lambda: len(Service.made) == 2, "its successor")
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")
    assert service.closed
    running.publish(ack("b"))
    running.until(lambda: len(Service.made[1].messages) == 1, "a message to the successor, once")
    assert len(service.messages) == 1


def test_wrong_from_the_start_it_waits_for_a_right_one(run):
    running = run(level="much")
    running.until(lambda: bool(running.statuses), "a status")
    assert running.statuses[-1].state == "faulty" and Service.made == []
    running.configure({"level": "0.5"})
    subscribed(running)
    assert Service.made[0].options.level == 0.5


def test_a_wrong_configuration_after_a_restart_goes_on_with_the_one_that_worked(run):
    running = run(level=0.25)
    subscribed(running)
    running.end()
    again = run(level=7)  # Lite restarts a component when its configuration changes
    again.until(lambda: bool(again.statuses), "a status")
    assert again.statuses[-1].state == "running" and "`level` is" in again.statuses[-1].faults[0]
    assert Service.made[-1].options.level == 0.25


def test_the_status_is_said_again_for_who_listens_later(run, monkeypatch):
    monkeypatch.setattr(status_reporter, "SAID_S", 0.1)
    running = run()
    running.until(lambda: len(running.statuses) > 3, "more of the same status")
    assert len(set(running.statuses)) == 1


def test_an_end_closes_the_service(run):
    running = run()
    subscribed(running)
    running.end()
    assert Service.made[0].closed


def test_what_only_a_relaunch_can_mend_has_an_exit_code_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SVCUID", raising=False)
    assert runner.main(NAME, Options, Service, ["--work", str(tmp_path)]) == runner.RELAUNCH_EXIT


class Talkative(Service):
    """More faults, queues, assets and drops than any message holds, with texts of the worst kind."""

    faults: tuple[str, ...] = tuple(f"{number}: \x1b[31m" + "ü" * 500 for number in range(200))

    def status(self) -> Status:
        return Status(component=self._name, state="running", faults=self.faults)

    def vitals(self) -> Metrics:
        names = [f"{number}\x1b" + "ü" * 120 for number in range(200)]
        return Metrics(lag_s=0.5, queues=dict.fromkeys(names, (1, 2)), quiet=dict.fromkeys(names, 1.0), drops=dict.fromkeys(names, 1))


def test_a_status_and_a_health_fit_whatever_is_in_them(run):
    running = run(make=Talkative)
    healths: list[Health] = []
    running.nucleus.do(running.nucleus.core.tap, lambda d: healths.append(decode(d.payload)) if d.topic == topics.HEALTH else None)
    running.until(lambda: bool(running.statuses) and len(running.statuses[-1].faults) > 1, "a status")
    *kept, rest = running.statuses[-1].faults
    assert rest == f"and {200 - len(kept)} more; see the log" and len(kept) >= 9
    assert all(each.isprintable() and each.endswith("…") for each in kept)
    running.until(lambda: bool(healths), "a health")
    assert sum(healths[-1].drops.values()) == 200 and healths[-1].drops["other"] > 0
    assert "inbox" in healths[-1].queues and healths[-1].quiet
    Talkative.faults = ()
    running.until(lambda: not running.statuses[-1].faults, "a status without faults")


TOO_LARGE = {f"n{number}": 1 for number in range(130)}
"""More than 255 keys and values."""


def test_what_is_too_large_to_be_read_is_named_and_the_service_goes_on(run, caplog):
    running = run(level=0.25)
    subscribed(running)
    running.nucleus.do(running.nucleus.core.config.reset, NAME, ["level"])
    running.configure({"level": TOO_LARGE})
    running.until(lambda: bool(running.statuses[-1].faults), "a fault")
    assert running.statuses[-1].state == "running"
    assert running.statuses[-1].faults[0].startswith("`level` cannot be read: with all below it, it is larger")
    assert "is the nucleus's configuration store running" not in caplog.text
    running.nucleus.do(running.nucleus.core.config.reset, NAME, ["level"])
    running.configure({"level": 0.25})
    running.until(lambda: not running.statuses[-1].faults, "no fault any more")
    (service,) = Service.made
    assert not service.closed


def test_a_process_that_starts_with_what_is_too_large_goes_on_with_what_worked(run):
    running = run(level=0.25)
    subscribed(running)
    running.end()
    running.nucleus.do(running.nucleus.core.config.reset, NAME, ["level"])
    again = run(level=TOO_LARGE)
    again.until(lambda: bool(again.statuses), "a status")
    assert again.statuses[-1].state == "running" and "`level` cannot be read" in again.statuses[-1].faults[0]
    assert Service.made[-1].options.level == 0.25


def test_a_large_configuration_of_others_keys_is_read_by_the_own_ones(run):
    running = run(level=0.75, big=TOO_LARGE)
    subscribed(running)
    assert Service.made[0].options.level == 0.75


@pytest.mark.parametrize("removed", [True, False])
def test_a_configuration_that_is_gone_altogether_is_no_error_at_once(run, monkeypatch, caplog, removed):
    caplog.set_level("INFO")
    monkeypatch.setattr(runner, "GONE_S", 60.0 if removed else 0.2)
    running = run(level=0.25)
    subscribed(running)
    running.nucleus.do(running.nucleus.core.config.reset, NAME, [])
    running.app._reload_at = 0.0  # the look every 5 s
    running.until(lambda: "the whole configuration is gone" in caplog.text, "a look at it")
    if removed:
        running.end()
        assert len(Service.made) == 1
        errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR" and record.name.startswith("edgeml")]
        assert errors == []
    else:
        running.until(lambda: len(Service.made) == 2, "the defaults")
        assert Service.made[1].options.level == 0.5


class Timed(Service):
    """Wants to know when each message was sent."""

    timed = True

    def on_message(self, topic: str, message: Message, sent_at: float = 0.0) -> None:
        self.messages.append((message, sent_at))


def test_a_service_is_told_when_a_message_was_sent_not_when_it_came(run, tmp_path):
    running = run(make=Timed)
    subscribed(running)
    sealed = seal(tmp_path / "messages.key", TOPIC, ack("a"))
    sealed_at = time.monotonic()
    time.sleep(0.5)
    running.publish_bare(sealed)
    (service,) = Service.made
    running.until(lambda: len(service.messages) == 1, "the acknowledgement")
    ((message, sent_at),) = service.messages
    assert message.alarm == "a" and abs(sent_at - sealed_at) < 0.3


class Busy(Service):
    """A tick that waits, as those do that publish while a broker is slow; `taken` has for each message the tick before it."""

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
    running = run(make=Busy)
    subscribed(running)
    (service,) = Service.made
    running.publish(ack("first"))
    running.until(service.held.is_set, "the first message")
    for number in range(40):
        running.publish(ack(str(number)))
    running.until(lambda: len(running.app._bus.inbox) >= 40, "what is waiting")
    service.go.set()
    running.until(lambda: len(service.taken) == 41, "what waited")
    assert len(set(service.taken[1:])) == 1
