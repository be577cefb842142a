"""The contract of both IoT Core backends; the MQTT broker is a real one, on loopback."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from awsiot.greengrasscoreipc.model import ServiceError

from gglocal.iot_core import IoTCore, Offline, open_iot_core
from tests.gglocal.ipc_world import Inbox, world
from tests.patience import PATIENCE_S as WAIT

STARTS = 30.0
"""Seconds until a broker accepts connections, on a busy machine too."""


class RealBroker:
    """An MQTT broker in a separate process; `stop` kills it, which open connections cannot delay."""

    def __init__(self, place: Path, port: int = 0) -> None:
        self.port = port or free_port()
        config = place / f"broker-{self.port}.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
                }
            )
        )
        with (place / f"broker-{self.port}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(config)],
                stdout=log,
                stderr=log,
                cwd=place,
            )
        end = time.monotonic() + STARTS
        while not listens(self.port):
            assert self._process.poll() is None and time.monotonic() < end, (place / f"broker-{self.port}.log").read_text()
            time.sleep(0.02)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBroker]:
    running = RealBroker(tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture(params=["recorder", "mqtt"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], IoTCore]:
    url = "recorder" if request.param == "recorder" else request.getfixturevalue("broker").url
    return lambda name: open_iot_core(url, client_id=f"{name}-{tmp_path.name}", record=tmp_path / "record.jsonl")


async def connected(iot: IoTCore) -> IoTCore:
    await iot.start()
    await asyncio.wait_for(until(lambda: iot.connected), WAIT)
    return iot


class Receiver(asyncio.Queue):
    def __call__(self, topic: str, payload: bytes) -> None:
        self.put_nowait((topic, payload))

    async def take(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.get(), WAIT)


def run(scenario: Callable[[IoTCore], object], make: Callable[[str], IoTCore]) -> None:
    async def all_of_it() -> None:
        iot = await connected(make("one"))
        try:
            await scenario(iot)
        finally:
            await iot.close()

    asyncio.run(all_of_it())


def test_published_messages_reach_matching_subscribers_in_order(make: Callable[[str], IoTCore]) -> None:
    async def scenario(iot: IoTCore) -> None:
        received = Receiver()
        await iot.subscribe("a/+/c", 1, received)
        iot.publish("a/x", b"elsewhere", 1, None)
        for number in range(50):
            iot.publish("a/b/c", b"\x00%d" % number, 1, None)
        assert [await received.take() for _ in range(50)] == [("a/b/c", b"\x00%d" % number) for number in range(50)]

    run(scenario, make)


def test_two_subscribers_of_one_filter_receive_each_message_once(make: Callable[[str], IoTCore]) -> None:
    async def scenario(iot: IoTCore) -> None:
        one, two = Receiver(), Receiver()
        await iot.subscribe("a/#", 1, one)
        await iot.subscribe("a/#", 0, two)
        for payload in (b"first", b"last"):
            iot.publish("a/b", payload, 1, None)
        for received in (one, two):
            assert [await received.take() for _ in range(2)] == [("a/b", b"first"), ("a/b", b"last")]
            assert received.empty()

    run(scenario, make)


def test_ended_subscription_receives_nothing(make: Callable[[str], IoTCore]) -> None:
    async def scenario(iot: IoTCore) -> None:
        left, stays, other = Receiver(), Receiver(), Receiver()
        end = await iot.subscribe("t", 1, left)
        await iot.subscribe("t", 1, stays)
        await iot.subscribe("u", 1, other)
        end()
        end()
        iot.publish("t", b"x", 1, None)
        iot.publish("u", b"y", 1, None)
        assert await stays.take() == ("t", b"x")
        assert await other.take() == ("u", b"y")
        assert left.empty()

    run(scenario, make)


def test_empty_payload_is_delivered(make: Callable[[str], IoTCore]) -> None:
    async def scenario(iot: IoTCore) -> None:
        received = Receiver()
        await iot.subscribe("t", 0, received)
        iot.publish("t", b"", 0, None)
        assert await received.take() == ("t", b"")

    run(scenario, make)


def test_messages_pass_through_a_real_broker(broker: RealBroker) -> None:
    def thing(name: str) -> IoTCore:
        return open_iot_core(broker.url, client_id=name)

    with world(iot=thing("thing-1")) as one, world(iot=thing("thing-2")) as two:
        for nucleus in (one, two):
            nucleus.wait(nucleus.core.iot.wait_connected())
        inbox = Inbox()
        two.client().subscribe_to_iot_core(topic_name="plant/+/alerts", qos="1", on_stream_event=inbox)
        one.client().publish_to_iot_core(topic_name="plant/7/alerts", qos="1", payload=b"\xffhot")
        message = inbox.take().message
        assert (message.topic_name, message.payload) == ("plant/7/alerts", b"\xffhot")


def test_outage_is_reported_and_subscriptions_are_restored(tmp_path: Path) -> None:
    broker = RealBroker(tmp_path)
    port = broker.port
    with world(iot=open_iot_core(broker.url, client_id="thing-3")) as nucleus:
        iot = nucleus.core.iot
        nucleus.wait(iot.wait_connected())
        inbox, client = Inbox(), nucleus.client()
        client.subscribe_to_iot_core(topic_name="t", qos="1", on_stream_event=inbox)
        broker.stop()
        nucleus.wait(until(lambda: not iot.connected))
        with pytest.raises(ServiceError):
            client.publish_to_iot_core(topic_name="t", qos="1", payload=b"lost")
        with pytest.raises(ServiceError):
            client.subscribe_to_iot_core(topic_name="u", qos="1", on_stream_event=Inbox())
        broker = RealBroker(tmp_path, port)
        try:
            nucleus.wait(until(lambda: iot.connected))
            nucleus.wait(iot.resubscribed())
            client.publish_to_iot_core(topic_name="t", qos="1", payload=b"again")
            assert inbox.take().message.payload == b"again"
        finally:
            broker.stop()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_unresponsive_broker_is_offline() -> None:
    async def scenario() -> None:
        iot = open_iot_core(f"mqtt://127.0.0.1:{free_port()}", client_id="x")
        await iot.start()
        with pytest.raises(Offline, match="not connected"):
            iot.publish("t", b"", 0, None)
        with pytest.raises(Offline, match="retry the subscription to t later"):
            await iot.subscribe("t", 0, lambda topic, payload: None)
        await iot.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["", "kafka://x", "mqtt://", "mqtt:1883", "mqtt://host:port"])
def test_unknown_iot_core_backend_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match="mqtt://host:port"):
        open_iot_core(url, client_id="x")


def test_recorder_url_can_name_a_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        iot = open_iot_core(f"recorder:{tmp_path}/deep/file.jsonl", client_id="x")
        await iot.start()
        iot.publish("t", b"x", 0, None)
        await iot.close()

    asyncio.run(scenario())
    assert (tmp_path / "deep" / "file.jsonl").read_text().count("\n") == 1
