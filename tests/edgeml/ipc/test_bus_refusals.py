"""Denied and failing calls, against a real IPC server."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgeml.ipc import sdk_adapter
from edgeml.ipc.bus import IpcBus
from edgeml.messages import topics
from gglocal.core.fault_injection import CallFilter
from gglocal.profile import CLASSIC
from tests.gglocal.ipc_world import World, world

NAME = "com.test.One"
DEADLINE = 10.0
CLOUD = "edgeml/a-thing/alerts"


def allowed(*resources: str) -> dict[str, Any]:
    """Grants all local topics, and these of IoT Core."""
    operations = ["*"]
    return {
        "aws.greengrass.ipc.pubsub": {"all": {"operations": operations, "resources": ["*"]}},
        "aws.greengrass.ipc.mqttproxy": {"some": {"operations": operations, "resources": list(resources)}},
    }


class Clock:
    """The real clock, which tests can set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def nucleus() -> Iterator[World]:
    with world(CLASSIC) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_bus(nucleus: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., IpcBus]]:
    opened: list[IpcBus] = []

    def make(access: dict[str, Any], **options: Any) -> IpcBus:
        monkeypatch.setenv("SVCUID", nucleus.token(NAME, access))
        monkeypatch.setenv(sdk_adapter.SOCKET, str(nucleus.socket_path))
        nucleus.do(nucleus.core.config.merge, NAME, {"accessControl": access, "threads": 1}, 1)
        bus = IpcBus(NAME, **{"patience_s": 0.2, "monotonic": clock} | options)
        bus.open()
        opened.append(bus)
        return bus

    yield make
    for bus in opened:
        bus.close()


def test_denial_names_its_cause(open_bus, caplog):
    bus = open_bus(allowed("edgeml/{iot:nothing}/x", "edgeml/a-thing/health"))
    assert not bus.publish_cloud(CLOUD, b"x")
    assert f"PublishToIoTCore on {CLOUD} is denied; add this resource to accessControl" in caplog.text


def test_variable_not_replaced_by_classic_is_named(open_bus, nucleus, caplog):
    bus = open_bus(allowed("edgeml/{iot:thingName}/alerts"))
    nucleus.do(nucleus.core.set_access_control, NAME, allowed("edgeml/{iot:other}/alerts"))  # as classic takes it literally
    bus.publish_cloud(CLOUD, b"x")
    assert "this nucleus does not replace the variable; set interpolateComponentConfiguration" in caplog.text


def test_granted_resource_is_not_requested(open_bus, nucleus, caplog):
    bus = open_bus(allowed(CLOUD))
    nucleus.do(nucleus.core.fault_injector.refuse, CallFilter(operation="PublishToIoTCore"), "UnauthorizedError")
    bus.publish_cloud(CLOUD, b"x")
    assert "although accessControl of the component's configuration has this resource" in caplog.text
    assert "add this resource" not in caplog.text


def subscriptions(nucleus: World) -> int:
    return sum(refusal.operation.endswith("SubscribeToIoTCore") for refusal in nucleus.core.refusals)


def test_denied_iot_core_subscription_is_retried_with_growing_delays(open_bus, nucleus, clock, caplog):
    bus = open_bus(allowed())
    bus.subscribe_cloud(CLOUD)
    bus.subscribe("a/b")
    for second in range(600):
        clock.ahead += 1
        if second % 30 == 0:
            bus.resubscribe_unmonitored("a denied subscription is not retried for this")
        bus.receive(0.0)
    assert 5 <= subscriptions(nucleus) <= 12
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR and record.name == "edgeml.ipc.bus"]
    assert len(errors) == 1


def test_added_permission_is_used_at_once(open_bus, nucleus, clock):
    bus = open_bus(allowed())
    bus.watch_configuration()
    bus.subscribe_cloud(CLOUD)
    for _ in range(60):
        clock.ahead += 10
        bus.receive(0.0)
    assert not bus.publish_cloud(CLOUD, b"before")
    nucleus.do(nucleus.core.set_access_control, NAME, allowed(CLOUD))
    nucleus.do(nucleus.core.config.merge, NAME, {"threads": 2}, time.time())
    give_up = time.monotonic() + DEADLINE
    received = None
    while (received is None or received.kind != "cloud") and time.monotonic() < give_up:
        received = bus.receive(0.05)
        bus.publish_cloud(CLOUD, b"after")
    assert received is not None and received.payload == b"after"


def test_denied_publish_to_iot_core_is_retried_rarely(open_bus, nucleus, clock):
    bus = open_bus(allowed())
    for _ in range(300):
        clock.ahead += 1
        assert not bus.publish_cloud(CLOUD, b"x")
    assert len(nucleus.core.refusals) < 25


def test_full_iot_core_buffer_renews_no_subscription(open_bus, nucleus, caplog):
    bus = open_bus(allowed("*"))
    bus.subscribe_cloud("edgeml/a-thing/alerts/ack")
    for _ in range(5):
        end = nucleus.do(nucleus.core.fault_injector.refuse, CallFilter(operation="PublishToIoTCore"), "ServiceError")
        assert not bus.publish_cloud(CLOUD, b"x")
        nucleus.do(end)
        assert bus.publish_cloud(CLOUD, b"x")
        bus.receive(0.0)
    assert "renewing" not in caplog.text
    assert "restarted" not in caplog.text
    lines = [each for each in caplog.records if each.levelno >= logging.WARNING and "PublishToIoTCore" in each.getMessage()]
    assert [each.levelname for each in lines] == ["WARNING", "ERROR"], "a repeatedly full buffer is logged once a minute"


def test_no_error_is_logged_while_the_component_is_removed(open_bus, nucleus, caplog):
    caplog.set_level(logging.DEBUG)
    bus = open_bus(allowed("*"))
    assert bus.configuration()["threads"] == 1
    nucleus.do(nucleus.core.config.reset, NAME, [])
    nucleus.do(nucleus.core.set_access_control, NAME, {})
    assert not bus.publish_cloud(CLOUD, b"x")
    assert not bus.publish(topics.STATUS, b"x")
    bus.subscribe("a/b")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING and record.name.startswith("edgeml")] == []
    assert caplog.text.count("it is being removed") == 1


def test_no_error_is_logged_during_shutdown(open_bus, nucleus, caplog):
    bus = open_bus(allowed("*"))
    nucleus.do(nucleus.core.fault_injector.refuse, CallFilter(), "ServiceError")
    bus.stop_retrying()
    assert not bus.publish(topics.STATUS, b"x")
    assert [record for record in caplog.records if record.name.startswith("edgeml") and record.levelno >= logging.WARNING] == []
