"""The bus against a real IPC server, through restarts of everything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.ipc import sdk_adapter, subscriptions
from edgeml.ipc.bus import IpcBus, Received, RestartRequired
from edgeml.ipc.connection import MAX_REFUSALS, Connection
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
        bus = IpcBus(NAME, **{"heartbeat_s": 0.1, "heartbeat_timeout_s": 0.5, "patience_s": 2.0} | options)  # type: ignore[arg-type]
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
    raise AssertionError(f"nothing {kind} was received")


def allow(*grants: tuple[str, str, list[str]]) -> dict:
    return {
        f"aws.greengrass.ipc.{service}": {f"p{i}": {"operations": [f"aws.greengrass#{operation}"], "resources": resources}}
        for i, (service, operation, resources) in enumerate(grants)
    }


def test_published_message_is_received_by_its_own_component(open_bus):
    bus = open_bus()
    bus.subscribe("a/b")
    assert bus.publish("a/b", b"\x00\xff")
    assert receive(bus) == Received("local", "a/b", b"\x00\xff")


def test_publish_to_iot_core_without_answer_blocks_for_about_a_second(open_bus, nucleus):
    bus = open_bus()
    release = threading.Event()
    nucleus.core.iot.publish = lambda *arguments: release.wait(PATIENCE_S)
    began = time.monotonic()
    assert not bus.publish_cloud("a/b", b"x")  # returns although there is no answer
    assert 0.9 < time.monotonic() - began < PATIENCE_S / 4
    release.set()


def test_json_message_arrives_as_text(open_bus, nucleus):
    from awsiot.greengrasscoreipc.model import JsonMessage, PublishMessage

    bus = open_bus()
    bus.subscribe("a/b")
    nucleus.client("com.test.Two").publish_to_topic(topic="a/b", publish_message=PublishMessage(json_message=JsonMessage(message={"x": 1})))
    assert receive(bus).payload == b'{"x": 1}'


def test_message_above_the_limit_is_not_sent_and_the_connection_survives(open_bus, caplog):
    bus = open_bus()
    bus.subscribe("a/b")
    assert not bus.publish("a/b", bytes(MAX_PAYLOAD + 1))
    assert "6801 bytes for a/b is not sent" in caplog.text
    assert bus.publish("a/b", bytes(MAX_PAYLOAD))
    assert len(receive(bus).payload) == MAX_PAYLOAD


def test_nucleus_without_iot_core_delays_no_local_message(open_bus, nucleus, monkeypatch, caplog):
    # Classic answers a subscription to IoT Core when IoT Core has answered; after a start without a link that may take hours.
    monkeypatch.setattr(sdk_adapter, "CLOUD_TIMEOUT_S", 0.2)
    end = nucleus.do(nucleus.core.fault_injector.delay_responses, CallFilter("SubscribeToIoTCore"), sdk_adapter.CALL_TIMEOUT_S + 1.0)
    bus = open_bus()
    began = time.monotonic()
    for topic in ("cloud/x", "cloud/y", "cloud/z"):
        bus.subscribe_cloud(topic)
    bus.subscribe("a/b")
    bus.start_heartbeat()
    client, before = bus._connection.client, bus.resubscribe_count
    while time.monotonic() < began + 2.0:
        sent = time.monotonic()
        assert bus.publish("a/b", b"x") and receive(bus).payload == b"x"
        assert time.monotonic() - sent < 1.0 + PATIENCE_S / 10
        bus.resubscribe_unmonitored("nothing arrives from IoT Core")
    assert bus._connection.client is client  # a missing answer from IoT Core is no evidence about the connection
    nucleus.do(end)
    give_up = time.monotonic() + PATIENCE_S
    while any(each.answer is not None for each in bus._subscriptions._subscriptions.values()) and time.monotonic() < give_up:
        bus.receive(0.1)
    assert bus.publish_cloud("cloud/z", b"up")
    assert receive(bus, "cloud") == Received("cloud", "cloud/z", b"up")
    assert "renewing" not in caplog.text and bus.resubscribe_count == before


def test_iot_core_messages_in_both_directions(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe_cloud("cloud/x")
    assert bus.publish_cloud("cloud/x", b"up")
    assert receive(bus, "cloud") == Received("cloud", "cloud/x", b"up")


def test_denied_topic_is_logged_and_does_not_delay_others(open_bus, nucleus, caplog):
    bus = open_bus(allow(("pubsub", "PublishToTopic", ["good", "edgeml/heartbeat/One"])), patience_s=0.3)
    assert not bus.publish("bad", b"")
    assert "UnauthorizedError: aws.greengrass#PublishToTopic on bad is denied; add this resource to accessControl" in caplog.text
    begun = time.monotonic()
    assert not bus.publish("bad", b"")
    assert time.monotonic() - begun < 0.25  # one attempt only, since it is known to be denied
    assert bus.publish("good", b"")
    bus.subscribe("bad")
    assert "UnauthorizedError: aws.greengrass#SubscribeToTopic on bad is denied" in caplog.text


def test_permission_added_later_takes_effect(open_bus, nucleus):
    bus = open_bus({})
    bus.subscribe("a/b")
    nucleus.do(nucleus.core.set_access_control, NAME, EVERYTHING)
    give_up = time.monotonic() + PATIENCE_S
    while bus.resubscribe_count == 0 and time.monotonic() < give_up:
        bus.receive(0.05)
    assert bus.publish("a/b", b"x")
    assert receive(bus).payload == b"x"


def test_silently_dead_subscriptions_are_renewed(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe("a/b")
    bus.subscribe_cloud("cloud/x")
    bus.start_heartbeat()
    bus.receive(0.3)
    before = bus.resubscribe_count
    # The effect of a restart of Lite's ggpubsubd: publishing continues, old subscriptions receive nothing.
    nucleus.do(nucleus.core.pubsub._exact.clear)
    begun = time.monotonic()
    while bus.resubscribe_count == before and time.monotonic() - begun < PATIENCE_S:
        bus.receive(0.1)
    assert time.monotonic() - begun < 3.0
    assert bus.publish("a/b", b"again")
    assert receive(bus).payload == b"again"


def test_lost_connection_is_restored_with_all_subscriptions(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe("a/b")
    bus.start_heartbeat()
    nucleus.do(nucleus.server.disconnect, NAME)
    give_up = time.monotonic() + PATIENCE_S
    while bus.resubscribe_count == 0 and time.monotonic() < give_up:
        bus.receive(0.1)
    assert bus.publish("a/b", b"x")
    assert receive(bus).payload == b"x"


class Clock:
    """Advanced by sleeping."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_unknown_svcuid_requires_a_relaunch(nucleus, monkeypatch):
    monkeypatch.setenv("SVCUID", "NOBODYKNOWSTHIS0")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
    clock = Clock()
    with pytest.raises(RestartRequired, match="closed 5 connections in a row"):
        IpcBus(NAME, monotonic=clock, sleep=clock.sleep).open()
    assert 2 < clock.slept < 4  # time for a broker to recover, and for a relaunch within 10 s


def test_open_waits_for_a_broker_without_limit(nucleus, monkeypatch, tmp_path):
    monkeypatch.setenv("SVCUID", nucleus.token(NAME))
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(tmp_path / "none"))
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.slept > 3600:  # the broker starts after an hour
            monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))

    bus = IpcBus(NAME, monotonic=clock, sleep=sleep)
    bus.open()
    assert clock.slept > 3600 and bus.publish("a/b", b"")
    bus.close()


def test_socket_without_listener_is_no_refusal(monkeypatch, tmp_path):
    path = str(tmp_path / "s")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)  # a file that a killed broker left
    monkeypatch.setenv("SVCUID", "X")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", path)
    clock = Clock()
    connection = Connection(clock)
    for _ in range(3 * MAX_REFUSALS):
        clock.now = connection.next_attempt
        assert not connection.attempt()
    assert connection.fatal_error == ""
    dead.close()


def test_broker_that_forgot_us_is_recognized_in_seconds_after_a_long_outage(monkeypatch):
    monkeypatch.setenv("SVCUID", "X")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", "/nowhere")
    back = False

    def refuse() -> None:
        raise ConnectionError("closed")

    monkeypatch.setattr(sdk_adapter, "dial", refuse)
    monkeypatch.setattr(sdk_adapter, "accepts_connections", lambda: back)
    now = 0.0
    connection = Connection(lambda: now)
    while now < 60.0:
        connection.attempt()
        now = connection.next_attempt
    assert not connection.fatal_error
    back, begun = True, now
    while not connection.fatal_error:
        connection.attempt()
        now = connection.next_attempt
    assert now - begun < 7  # including the delay after the last refusal


def test_only_the_first_publish_waits_while_the_broker_is_down(open_bus, nucleus):
    bus = open_bus(patience_s=0.5)
    assert bus.publish("a/b", b"")
    nucleus.wait(nucleus.server.close())
    begun = time.monotonic()
    while bus.publish("a/b", b""):
        time.sleep(0.01)
    first = time.monotonic() - begun
    assert not bus.publish("a/b", b"") and not bus.publish("c/d", b"")
    assert time.monotonic() - begun - first < 0.3
    assert bus.receive(0.1) is None  # raises nothing, because the broker may return
    nucleus.wait(nucleus.server.start())
    bus.subscribe("a/b")
    give_up = time.monotonic() + PATIENCE_S
    while not bus.publish("a/b", b"again") and time.monotonic() < give_up:
        bus.receive(0.05)
    assert receive(bus).payload == b"again"


def test_only_receive_raises_when_the_broker_forgot_us(open_bus, nucleus, monkeypatch):
    bus = open_bus(patience_s=0.2)
    monkeypatch.setenv("SVCUID", "FORGOTTEN0000000")
    nucleus.do(nucleus.server.disconnect, NAME)
    begun = time.monotonic()
    while bus.publish("a/b", b""):
        time.sleep(0.01)
    with pytest.raises(RestartRequired):
        while time.monotonic() < begun + PATIENCE_S:
            bus.publish("a/b", b"")
            bus.receive(0.05)
    assert time.monotonic() - begun < 7


def test_missing_nucleus_is_reported(monkeypatch):
    monkeypatch.delenv("SVCUID", raising=False)
    monkeypatch.delenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", raising=False)
    with pytest.raises(RestartRequired, match="started by a Greengrass nucleus"):
        IpcBus(NAME).open()


def test_configuration_changes_are_received(open_bus, nucleus):
    bus = open_bus()
    assert bus.configuration() == {}
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 1}, time.time())
    bus.watch_configuration()
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 2}, time.time() + 1)
    receive(bus, "configuration")
    assert bus.configuration()["threads"] in (2, 2.0, "2")


def test_full_queue_drops_the_oldest_blocks_and_nothing_else(open_bus, nucleus):
    bus = open_bus(capacity=4)
    for topic in (topics.SENSORS, topics.ALERTS):
        bus.subscribe(topic)
    assert bus.publish(topics.ALERTS, b"alert")
    for number in range(8):
        assert bus.publish(topics.SENSORS, bytes([number]))
    give_up = time.monotonic() + PATIENCE_S
    while bus.queue.dropped[topics.SENSORS] < 4 and time.monotonic() < give_up:
        time.sleep(0.005)
    assert [receive(bus).payload for _ in range(5)] == [b"alert", b"\x04", b"\x05", b"\x06", b"\x07"]
    assert bus.queue.dropped == {topics.SENSORS: 4}


def test_recovered_publish_renews_the_unmonitored_subscriptions(open_bus, nucleus):
    # The effect of a restart of Lite's ggconfigd: calls are denied for a while, and configuration subscriptions are dead afterwards.
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
    before = bus.resubscribe_count
    nucleus.do(nucleus.core.set_access_control, NAME, EVERYTHING)
    begun = time.monotonic()
    receive(bus, "configuration")  # a poll, because a change may have been missed
    assert bus.resubscribe_count > before
    while bus.receive(0.2) is not None:
        pass
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 2}, time.time() + 1)
    receive(bus, "configuration")
    assert time.monotonic() - begun < 3


def forget_watchers(nucleus: World) -> None:
    nucleus.core.config._components[NAME].watchers.clear()


def test_configuration_is_polled_periodically(open_bus, nucleus):
    bus = open_bus(poll_s=0.3)
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 1}, time.time())
    bus.watch_configuration()
    for _ in range(3):
        receive(bus, "configuration")


def test_stream_without_keep_alive_is_subscribed_again(open_bus, nucleus, monkeypatch):
    monkeypatch.setattr(subscriptions, "KEEP_ALIVE_S", 0.1)
    bus = open_bus()
    bus.subscribe(topics.SENSORS)
    bus.subscribe("a/b")
    bus.start_heartbeat()
    assert bus.publish(topics.SENSORS, b"1")
    assert receive(bus).payload == b"1"
    # A poisoned topic on Lite: all other topics deliver, including the heartbeat.
    nucleus.do(nucleus.core.pubsub._exact.pop, topics.SENSORS)
    before, begun = bus.resubscribe_count, time.monotonic()
    while bus.resubscribe_count == before and time.monotonic() - begun < PATIENCE_S:
        bus.receive(0.05)
    assert time.monotonic() - begun < 1
    assert bus.publish(topics.SENSORS, b"2")
    assert receive(bus).payload == b"2"
    ages = bus.message_ages()
    assert ages["a/b"] is None and ages[topics.SENSORS] < 1


def test_busy_loop_does_not_mistake_its_subscriptions_for_dead(open_bus):
    bus = open_bus(heartbeat_timeout_s=1.0)
    bus.start_heartbeat()
    bus.receive(0.3)
    before = bus.resubscribe_count
    for _ in range(2):
        time.sleep(1.5)
        bus.receive(0.0)
    assert bus.resubscribe_count == before


def test_subscription_ended_by_the_nucleus_is_opened_again(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe("a/b")
    bus.subscribe_cloud("cloud/x")

    def end_all() -> None:
        for connection in nucleus.server.limits.clients:
            for stream in list(connection._streams):
                connection.send_message(stream, "aws.greengrass#SubscriptionResponseMessage", b"{}", last=True)
                connection._close_stream(stream)

    before, begun = bus.resubscribe_count, time.monotonic()
    nucleus.do(end_all)
    while bus.resubscribe_count < before + 2 and time.monotonic() - begun < PATIENCE_S:
        bus.receive(0.1)
    assert bus.publish("a/b", b"x") and bus.publish_cloud("cloud/x", b"up")
    assert {receive(bus).payload, receive(bus, "cloud").payload} == {b"x", b"up"}
    assert time.monotonic() - begun < 4


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:core-key-AbCdEf"


def test_key_is_read_from_a_secret_on_classic_only(monkeypatch, tmp_path):
    grant = {"one": {"operations": ["aws.greengrass#GetSecretValue"], "resources": [SECRET]}}
    access = EVERYTHING | {"aws.greengrass.SecretManager": grant}
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / quote(SECRET, safe="")).write_text("f" * 64 + "\n")
    (tmp_path / "secrets" / "other").write_text("e" * 64)
    for profile, fault in ((CLASSIC, ""), (LITE, "requires the classic nucleus")):
        with world(profile) as nucleus:
            nucleus.core.root_path = str(tmp_path)
            monkeypatch.setenv("SVCUID", nucleus.token(NAME, access))
            monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
            verifier = MessageVerifier(NAME, tmp_path / "work")
            bus = IpcBus(NAME, verifier)
            verifier.secret = bus.secret
            bus.open()
            verifier.configure(MessageAuthOptions(secret=SECRET))
            assert fault in verifier.fault and bool(verifier.fault) == bool(fault)
            assert (verifier.sign("edgeml/results", b"x") is None) == bool(fault)
            verifier.configure(MessageAuthOptions(secret="other"))
            assert "the secret 'other' cannot be read (" in verifier.fault and verifier.sign("edgeml/results", b"x") is None
            bus.close()
