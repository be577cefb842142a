"""The connection's owner against a real IPC server, through everything that restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from edgeml.bus import IpcBus, Received, RelaunchNeeded
from edgeml.messages import MAX_PAYLOAD
from tests.gglocal.ipc_world import EVERYTHING, World, world

NAME = "com.test.One"
DEADLINE = 10.0


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
    give_up = time.monotonic() + DEADLINE
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
    give_up = time.monotonic() + DEADLINE
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
    while bus.renewed == before and time.monotonic() - begun < DEADLINE:
        bus.receive(0.1)
    assert time.monotonic() - begun < 3.0
    assert bus.publish("a/b", b"again")
    assert receive(bus).payload == b"again"


def test_a_connection_that_is_cut_is_made_again_with_all_subscriptions(open_bus, nucleus):
    bus = open_bus()
    bus.subscribe("a/b")
    bus.start_heartbeat()
    nucleus.do(nucleus.server.disconnect, NAME)
    give_up = time.monotonic() + DEADLINE
    while bus.renewed == 0 and time.monotonic() < give_up:
        bus.receive(0.1)
    assert bus.publish("a/b", b"x")
    assert receive(bus).payload == b"x"


def test_when_the_nucleus_no_longer_knows_us_only_a_relaunch_helps(nucleus, monkeypatch):
    monkeypatch.setenv("SVCUID", "NOBODYKNOWSTHIS0")
    monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
    waits: list[float] = []
    with pytest.raises(RelaunchNeeded, match="no connection to the nucleus in 8 tries"):
        IpcBus(NAME, sleep=waits.append).open()
    assert waits == sorted(waits) and max(waits) >= 3.0 and sum(waits) < 20


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


def test_a_full_inbox_drops_the_oldest_and_counts(open_bus, nucleus):
    bus = open_bus(inbox=3)
    bus.subscribe("a/b")
    for number in range(8):
        assert bus.publish("a/b", bytes([number]))
    give_up = time.monotonic() + DEADLINE
    while bus.dropped < 5 and time.monotonic() < give_up:
        time.sleep(0.005)
    assert [receive(bus).payload for _ in range(3)] == [b"\x05", b"\x06", b"\x07"]
    assert bus.dropped == 5
