"""The connection's owner against a real IPC server, through everything that restarts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.ipc import bus as bus_module
from edgeml.ipc import sdk_adapter
from edgeml.ipc.bus import IpcBus, Received, RelaunchNeeded
from edgeml.ipc.connection import REFUSALS, Connection
from edgeml.messages import MAX_PAYLOAD, topics
from gglocal.core.fault_injection import CallFilter
from gglocal.profile import CLASSIC, LITE
from tests.gglocal.ipc_world import EVERYTHING, World, world
from tests.patience import PATIENCE_S

NAME = "com.test.One"


@pytest.fixture
def nucleus() -> Iterator[World]:
    with world() as running:
        yield running


@pytest.fixture
def open_bus(nucleus: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., IpcBus]]:
    opened: list[IpcBus] = []

    def make(access_control: object = EVERYTHING, **options: float) -> IpcBus:
        monkeypatch.setenv("SVCUID", nucleus.token(NAME, access_control))
        monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
        bus = IpcBus(NAME, **{"heartbeat_s": 0.1, "silence_s": 0.5, "patience_s": 2.0} | options)  # type: ignore[arg-type]
        bus.open()
        opened.append(bus)
        return bus

    yield make
    for bus in opened:
        bus.close()


def receive(bus: IpcBus, kind: str = "local") -> Received:
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        received = bus.receive(0.1)
        if received is not None and received.kind == kind:
            return received
    raise AssertionError(f"nothing {kind} came")


def allow(*grants: tuple[str, str, list[str]]) -> dict:
    return {
        f"aws.greengrass.ipc.{service}": {f"p{i}": {"operations": [f"aws.greengrass#{operation}"], "resources": resources}}
        for i, (service, operation, resources) in enumerate(grants)
    }


def test_what_is_published_is_received_its_own_included(open_bus):
    bus = open_bus()
    bus.subscribe("a/b")
    assert bus.publish("a/b", b"\x00\xff")
    assert receive(bus) == Received("local", "a/b", b"\x00\xff")


def test_an_iot_core_that_does_not_answer_holds_up_local_work_for_about_a_second(open_bus, nucleus):
    bus = open_bus()
    release = threading.Event()
    nucleus.core.iot.publish = lambda *arguments: release.wait(PATIENCE_S)
    began = time.monotonic()
    assert not bus.publish_cloud("a/b", b"x")  # and it returns, though nobody has answered
    assert 0.9 < time.monotonic() - began < PATIENCE_S / 4
    release.set()


def test_json_messages_of_others_arrive_as_text(open_bus, nucleus):
    from awsiot.greengrasscoreipc.model import JsonMessage, PublishMessage

    bus = open_bus()
    bus.subscribe("a/b")
    nucleus.client("com.test.Two").publish_to_topic(topic="a/b", publish_message=PublishMessage(json_message=JsonMessage(message={"x": 1})))
    assert receive(bus).payload == b'{"x": 1}'


def test_a_message_above_the_limit_is_refused_here_and_the_connection_lives(open_bus, caplog):
    bus = open_bus()
    bus.subscribe("a/b")
    assert not bus.publish("a/b", bytes(MAX_PAYLOAD + 1))
    assert "6801 bytes for a/b is not sent" in caplog.text
    assert bus.publish("a/b", bytes(MAX_PAYLOAD))
    assert len(receive(bus).payload) == MAX_PAYLOAD


def test_a_nucleus_that_cannot_reach_iot_core_holds_up_no_local_message(open_bus, nucleus, monkeypatch, caplog):
    # Classic answers a subscription to IoT Core when IoT Core has; after a start without a link that may take hours.
    monkeypatch.setattr(sdk_adapter, "CLOUD_TIMEOUT_S", 0.2)
    end = nucleus.do(nucleus.core.fault_injector.delay_responses, CallFilter("SubscribeToIoTCore"), sdk_adapter.CALL_TIMEOUT_S + 1.0)
    bus = open_bus()
    began = time.monotonic()
    for topic in ("cloud/x", "cloud/y", "cloud/z"):
        bus.subscribe_cloud(topic)
    bus.subscribe("a/b")
    bus.start_heartbeat()
    client, renewed = bus._connection.client, bus.renewed
    while time.monotonic() < began + 2.0:
        before = time.monotonic()
        assert bus.publish("a/b", b"x") and receive(bus).payload == b"x"
        assert time.monotonic() - before < 1.0 + PATIENCE_S / 10
        bus.renew_unheard("nothing is heard from IoT Core")
    assert bus._connection.client is client  # a missing answer from IoT Core says nothing of the connection
    nucleus.do(end)
    give_up = time.monotonic() + PATIENCE_S
    while any(each.answer is not None for each in bus._subscriptions.values()) and time.monotonic() < give_up:
        bus.receive(0.1)
    assert bus.publish_cloud("cloud/z", b"up")
    assert receive(bus, "cloud") == Received("cloud", "cloud/z", b"up")
    assert "renewing" not in caplog.text and bus.renewed == renewed


def test_the_cloud_both_ways(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe_cloud("cloud/x")
    assert bus.publish_cloud("cloud/x", b"up")
    assert receive(bus, "cloud") == Received("cloud", "cloud/x", b"up")


def test_a_refused_topic_is_named_and_does_not_stop_others(open_bus, nucleus, caplog):
    bus = open_bus(allow(("pubsub", "PublishToTopic", ["good", "edgeml/heartbeat/One"])), patience_s=0.3)
    assert not bus.publish("bad", b"")
    assert "UnauthorizedError: aws.greengrass#PublishToTopic on bad is refused; add this resource to accessControl" in caplog.text
    begun = time.monotonic()
    assert not bus.publish("bad", b"")
    assert time.monotonic() - begun < 0.25  # tried once only, now that it is known to be refused
    assert bus.publish("good", b"")
    bus.subscribe("bad")
    assert "UnauthorizedError: aws.greengrass#SubscribeToTopic on bad is refused" in caplog.text


def test_a_permission_that_comes_later_is_taken_up(open_bus, nucleus):
    bus = open_bus({})
    bus.subscribe("a/b")
    nucleus.do(nucleus.core.set_access_control, NAME, EVERYTHING)
    give_up = time.monotonic() + PATIENCE_S
    while bus.renewed == 0 and time.monotonic() < give_up:
        bus.receive(0.05)
    assert bus.publish("a/b", b"x")
    assert receive(bus).payload == b"x"


def test_subscriptions_that_die_without_a_word_are_renewed(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe("a/b")
    bus.subscribe_cloud("cloud/x")
    bus.start_heartbeat()
    bus.receive(0.3)
    before = bus.renewed
    # What a restart of Lite's ggpubsubd does: publishes go on, old subscriptions hear nothing.
    nucleus.do(nucleus.core.pubsub._exact.clear)
    begun = time.monotonic()
    while bus.renewed == before and time.monotonic() - begun < PATIENCE_S:
        bus.receive(0.1)
    assert time.monotonic() - begun < 3.0
    assert bus.publish("a/b", b"again")
    assert receive(bus).payload == b"again"


def test_a_connection_that_is_cut_is_made_again_with_all_subscriptions(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe("a/b")
    bus.start_heartbeat()
    nucleus.do(nucleus.server.disconnect, NAME)
    give_up = time.monotonic() + PATIENCE_S
    while bus.renewed == 0 and time.monotonic() < give_up:
        bus.receive(0.1)
    assert bus.publish("a/b", b"x")
    assert receive(bus).payload == b"x"


class Clock:
    """Turned on by whoever sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_when_the_nucleus_no_longer_knows_us_only_a_relaunch_helps(nucleus, monkeypatch):
    monkeypatch.setenv("SVCUID", "NOBODYKNOWSTHIS0")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
    clock = Clock()
    with pytest.raises(RelaunchNeeded, match="closed 5 connections in a row"):
        IpcBus(NAME, monotonic=clock, sleep=clock.sleep).open()
    assert 2 < clock.slept < 4  # time for a broker to come to itself, and for a relaunch within 10 s


def test_a_broker_that_is_away_is_waited_for_however_long(nucleus, monkeypatch, tmp_path):
    monkeypatch.setenv("SVCUID", nucleus.token(NAME))
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(tmp_path / "none"))
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.slept > 3600:  # after an hour it is there
            monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))

    bus = IpcBus(NAME, monotonic=clock, sleep=sleep)
    bus.open()
    assert clock.slept > 3600 and bus.publish("a/b", b"")
    bus.close()


def test_nobody_listening_on_the_socket_is_no_refusal(monkeypatch, tmp_path):
    path = str(tmp_path / "s")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)  # a file that a killed broker left
    monkeypatch.setenv("SVCUID", "X")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", path)
    clock = Clock()
    connection = Connection(clock)
    for _ in range(3 * REFUSALS):
        clock.now = connection.due
        assert not connection.attempt()
    assert connection.hopeless == ""
    dead.close()


def test_a_broker_that_was_away_for_long_and_forgot_us_is_known_in_seconds(monkeypatch):
    monkeypatch.setenv("SVCUID", "X")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", "/nowhere")
    back = False

    def refuse() -> None:
        raise ConnectionError("closed")

    monkeypatch.setattr(sdk_adapter, "dial", refuse)
    monkeypatch.setattr(sdk_adapter, "answers", lambda: back)
    now = 0.0
    connection = Connection(lambda: now)
    while now < 60.0:
        connection.attempt()
        now = connection.due
    assert not connection.hopeless
    back, begun = True, now
    while not connection.hopeless:
        connection.attempt()
        now = connection.due
    assert now - begun < 7  # with the waiting after the last refusal


def test_while_the_broker_is_away_only_the_first_publish_waits(open_bus, nucleus):
    bus = open_bus(patience_s=0.5)
    assert bus.publish("a/b", b"")
    nucleus.wait(nucleus.server.close())
    begun = time.monotonic()
    while bus.publish("a/b", b""):
        time.sleep(0.01)
    first = time.monotonic() - begun
    assert not bus.publish("a/b", b"") and not bus.publish("c/d", b"")
    assert time.monotonic() - begun - first < 0.3
    assert bus.receive(0.1) is None  # nothing is raised: it is waited for
    nucleus.wait(nucleus.server.start())
    bus.subscribe("a/b")
    give_up = time.monotonic() + PATIENCE_S
    while not bus.publish("a/b", b"again") and time.monotonic() < give_up:
        bus.receive(0.05)
    assert receive(bus).payload == b"again"


def test_a_broker_that_forgot_us_is_told_by_receive_alone(open_bus, nucleus, monkeypatch):
    bus = open_bus(patience_s=0.2)
    monkeypatch.setenv("SVCUID", "FORGOTTEN0000000")
    nucleus.do(nucleus.server.disconnect, NAME)
    begun = time.monotonic()
    while bus.publish("a/b", b""):
        time.sleep(0.01)
    with pytest.raises(RelaunchNeeded):
        while time.monotonic() < begun + PATIENCE_S:
            bus.publish("a/b", b"")
            bus.receive(0.05)
    assert time.monotonic() - begun < 7


def test_outside_a_nucleus_the_sentence_says_so(monkeypatch):
    monkeypatch.delenv("SVCUID", raising=False)
    monkeypatch.delenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", raising=False)
    with pytest.raises(RelaunchNeeded, match="started by a Greengrass nucleus"):
        IpcBus(NAME).open()


def test_configuration_and_its_changes(open_bus, nucleus):
    bus = open_bus()
    assert bus.configuration() == {}
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 1}, time.time())
    bus.watch_configuration()
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 2}, time.time() + 1)
    receive(bus, "configuration")
    assert bus.configuration()["threads"] in (2, 2.0, "2")


def test_a_full_inbox_gives_up_the_oldest_blocks_and_nothing_else(open_bus, nucleus):
    bus = open_bus(inbox=4)
    for topic in (topics.SENSORS, topics.ALERTS):
        bus.subscribe(topic)
    assert bus.publish(topics.ALERTS, b"alert")
    for number in range(8):
        assert bus.publish(topics.SENSORS, bytes([number]))
    give_up = time.monotonic() + PATIENCE_S
    while bus.inbox.dropped[topics.SENSORS] < 4 and time.monotonic() < give_up:
        time.sleep(0.005)
    assert [receive(bus).payload for _ in range(5)] == [b"alert", b"\x04", b"\x05", b"\x06", b"\x07"]
    assert bus.inbox.dropped == {topics.SENSORS: 4}


def test_a_publish_that_failed_for_a_while_renews_what_cannot_be_heard_from(open_bus, nucleus):
    # What a restart of Lite's ggconfigd does: calls are refused for a while, and configuration subscriptions are dead afterwards.
    bus = open_bus()
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 1}, time.time())
    bus.watch_configuration()
    bus.start_heartbeat()
    while bus.receive(0.2) is not None:
        pass
    nucleus.do(nucleus.core.set_access_control, NAME, {})
    nucleus.do(forget_watchers, nucleus)
    for _ in range(5):
        bus.receive(0.1)
    before = bus.renewed
    nucleus.do(nucleus.core.set_access_control, NAME, EVERYTHING)
    begun = time.monotonic()
    receive(bus, "configuration")  # it is read again, as a change may have been missed
    assert bus.renewed > before
    while bus.receive(0.2) is not None:
        pass
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 2}, time.time() + 1)
    receive(bus, "configuration")
    assert time.monotonic() - begun < 3


def forget_watchers(nucleus: World) -> None:
    nucleus.core.config._components[NAME].watchers.clear()


def test_the_configuration_is_read_again_now_and_then_whatever_happens(open_bus, nucleus):
    bus = open_bus(reread_s=0.3)
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 1}, time.time())
    bus.watch_configuration()
    for _ in range(3):
        receive(bus, "configuration")


def test_a_stream_without_even_a_keep_alive_is_subscribed_to_anew(open_bus, nucleus, monkeypatch):
    monkeypatch.setattr(bus_module, "KEEP_ALIVE_S", 0.1)
    bus = open_bus()
    bus.subscribe(topics.SENSORS)
    bus.subscribe("a/b")
    bus.start_heartbeat()
    assert bus.publish(topics.SENSORS, b"1")
    assert receive(bus).payload == b"1"
    # A poisoned topic on Lite: all others are heard, the heartbeat included.
    nucleus.do(nucleus.core.pubsub._exact.pop, topics.SENSORS)
    before, begun = bus.renewed, time.monotonic()
    while bus.renewed == before and time.monotonic() - begun < PATIENCE_S:
        bus.receive(0.05)
    assert time.monotonic() - begun < 1
    assert bus.publish(topics.SENSORS, b"2")
    assert receive(bus).payload == b"2"
    heard = bus.heard()
    assert heard["a/b"] is None and heard[topics.SENSORS] < 1


def test_a_loop_that_was_busy_for_long_does_not_take_its_subscriptions_for_dead(open_bus):
    bus = open_bus(silence_s=1.0)
    bus.start_heartbeat()
    bus.receive(0.3)
    before = bus.renewed
    for _ in range(2):
        time.sleep(1.5)
        bus.receive(0.0)
    assert bus.renewed == before


def test_a_subscription_that_the_nucleus_ends_is_made_anew(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe("a/b")
    bus.subscribe_cloud("cloud/x")

    def end_all() -> None:
        for connection in nucleus.server.limits.clients:
            for stream in list(connection._streams):
                connection.send_message(stream, "aws.greengrass#SubscriptionResponseMessage", b"{}", last=True)
                connection._close_stream(stream)

    before, begun = bus.renewed, time.monotonic()
    nucleus.do(end_all)
    while bus.renewed < before + 2 and time.monotonic() - begun < PATIENCE_S:
        bus.receive(0.1)
    assert bus.publish("a/b", b"x") and bus.publish_cloud("cloud/x", b"up")
    assert {receive(bus).payload, receive(bus, "cloud").payload} == {b"x", b"up"}
    assert time.monotonic() - begun < 4


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:core-key-AbCdEf"


def test_the_key_of_a_secret_on_classic_and_a_sentence_where_there_are_none(monkeypatch, tmp_path):
    grant = {"one": {"operations": ["aws.greengrass#GetSecretValue"], "resources": [SECRET]}}
    access = EVERYTHING | {"aws.greengrass.SecretManager": grant}
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / quote(SECRET, safe="")).write_text("f" * 64 + "\n")
    (tmp_path / "secrets" / "other").write_text("e" * 64)
    for profile, wanted in ((CLASSIC, ""), (LITE, "takes the classic nucleus")):
        with world(profile) as nucleus:
            nucleus.core.root_path = str(tmp_path)
            monkeypatch.setenv("SVCUID", nucleus.token(NAME, access))
            monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
            guard = MessageVerifier(NAME, tmp_path / "work")
            bus = IpcBus(NAME, guard)
            guard.secret = bus.secret
            bus.open()
            guard.configure(MessageAuthOptions(secret=SECRET))
            assert wanted in guard.fault and bool(guard.fault) == bool(wanted)
            assert (guard.seal("edgeml/results", b"x") is None) == bool(wanted)
            guard.configure(MessageAuthOptions(secret="other"))
            assert "the secret 'other' cannot be read (" in guard.fault and guard.seal("edgeml/results", b"x") is None
            bus.close()
