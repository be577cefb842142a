"""Repeated operations leak nothing: no memory, streams, threads or descriptors."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from awscrt.eventstream.rpc import ClientConnection, ClientContinuation
from awscrt.io import EventLoopGroup
from awsiot.eventstreamrpc import ClientOperation
from awsiot.greengrasscoreipc import model

from edgeml.errors import BusError
from edgeml.ipc import sdk_adapter
from edgeml.ipc.bus import IpcBus
from gglocal.core.fault_injection import CallFilter
from gglocal.profile import CLASSIC, LITE
from tests.gglocal.ipc_world import EVERYTHING, World, world

NAME = "com.test.One"
DEADLINE = 10.0
CALLS = 20_000
WARM = 2_000
MAX_GROWTH_MIB = 4.0
"""Calls that do not close their streams leak 5.6 KiB each, 109 MiB in all. The allocator's arenas account for far less than 4."""


@pytest.fixture(params=[LITE, CLASSIC], ids=lambda profile: profile.name)
def nucleus(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as running:
        yield running


@pytest.fixture
def bus(nucleus: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[IpcBus]:
    monkeypatch.setenv("SVCUID", nucleus.token(NAME, EVERYTHING))
    monkeypatch.setenv(sdk_adapter.SOCKET, str(nucleus.socket_path))
    opened = IpcBus(NAME, patience_s=0.0)
    opened.open()
    yield opened
    opened.close()


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def becomes_true(holds: Callable[[], bool]) -> bool:
    """The SDK closes streams and connections on its own thread, a moment later."""
    give_up = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def streams(nucleus: World) -> int:
    """Open subscriptions of the nucleus."""
    return nucleus.do(lambda: nucleus.server.limits.subscriptions)


def test_memory_stays_flat_over_many_calls(bus: IpcBus):
    def some(count: int) -> None:
        for _ in range(count):
            assert bus.publish("a/b", b"x" * 100)

    some(WARM)
    before, open_before = resident_mib(), alive(ClientContinuation)
    some(CALLS)
    assert becomes_true(lambda: alive(ClientContinuation) <= open_before)
    assert becomes_true(lambda: alive(ClientOperation) <= open_before)
    assert resident_mib() - before < MAX_GROWTH_MIB


CALL: dict[str, Callable[[IpcBus], object]] = {
    "publish": lambda bus: bus.publish("a/b", b"x"),
    "publish-to-cloud": lambda bus: bus.publish_cloud("a/b", b"x"),
    "configuration": lambda bus: bus.configuration(0.0),
    "subscribe": lambda bus: (bus.subscribe("a/b"), bus.unsubscribe("a/b")),
    "subscribe-to-cloud": lambda bus: (bus.subscribe_cloud("a/b"), bus.unsubscribe("a/b")),
}


@pytest.mark.parametrize("error", ["", "UnauthorizedError", "ServiceError"])
@pytest.mark.parametrize("call", CALL)
def test_answered_and_refused_calls_close_their_streams(nucleus: World, bus: IpcBus, call: str, error: str):
    if error:
        nucleus.do(nucleus.core.fault_injector.refuse, CallFilter(), error)
    bus.stop_retrying()  # no retries
    for _ in range(20):
        with contextlib.suppress(BusError):
            CALL[call](bus)
    assert becomes_true(lambda: alive(ClientContinuation) == 0)
    assert becomes_true(lambda: streams(nucleus) == 0)


def test_late_answer_leaves_no_open_stream(nucleus: World, bus: IpcBus):
    nucleus.do(nucleus.core.config.merge, NAME, {"a": 1}, 1)
    end = nucleus.do(nucleus.core.fault_injector.delay_responses, CallFilter(), 0.5)
    client = bus._connection.client
    for _ in range(5):
        _, make, request = sdk_adapter.subscribe("a/b", lambda item: None, lambda: None)
        with pytest.raises(sdk_adapter.LATE):
            sdk_adapter.open_stream(make(client), request, 0.02)
        with pytest.raises(sdk_adapter.LATE):
            sdk_adapter.call(client.new_get_configuration(), model.GetConfigurationRequest(key_path=[]), 0.02)
    nucleus.do(end)
    assert becomes_true(lambda: alive(ClientContinuation) == 0)
    assert becomes_true(lambda: streams(nucleus) == 0)


def test_renewed_subscriptions_close_the_old_ones(nucleus: World, bus: IpcBus):
    nucleus.do(nucleus.core.config.merge, NAME, {"a": 1}, 1)
    for topic in ("a/b", "c/d"):
        bus.subscribe(topic)
    bus.subscribe_cloud("e/f")
    bus.watch_configuration()
    for _ in range(20):
        bus._renew("a test")
    assert becomes_true(lambda: streams(nucleus) == 4)
    assert becomes_true(lambda: alive(ClientContinuation) == 4)


def test_reconnecting_leaks_no_thread_descriptor_or_stream(nucleus: World, bus: IpcBus):
    bus.subscribe("a/b")

    def again() -> None:
        nucleus.do(nucleus.server.disconnect, NAME)
        assert becomes_true(lambda: bus._connection.client is None)
        bus.open()

    again()  # the first one creates some resources permanently
    gc.collect()
    before = resources()
    for _ in range(15):
        again()
    assert becomes_true(lambda: all(count <= before[name] for name, count in resources().items())), (before, resources())
    assert becomes_true(lambda: streams(nucleus) == 1)


@pytest.mark.parametrize("how", ["not-there", "refused", "unknown"])
def test_failed_connection_attempts_leak_nothing(nucleus: World, bus: IpcBus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str):
    if how == "not-there":
        monkeypatch.setenv(sdk_adapter.SOCKET, str(tmp_path / "none.socket"))
    elif how == "unknown":
        monkeypatch.setenv("SVCUID", "of nobody")
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv(sdk_adapter.SOCKET, str(tmp_path / "file"))

    # pytest keeps log records, and with them the SDK's connections.
    monkeypatch.setattr(logging.getLogger("awsiot.eventstreamrpc"), "disabled", True)

    def again() -> None:
        with pytest.raises(Exception):  # noqa: B017, the SDK raises many types
            sdk_adapter.dial()

    again()
    gc.collect()
    before = resources()
    for _ in range(15):
        again()
    assert becomes_true(lambda: all(count <= before[name] for name, count in resources().items())), (before, resources())


def resources() -> dict[str, int]:
    """The parts of a connection, and the operating system's view of it."""
    gc.collect()
    return {
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "loops": alive(EventLoopGroup),
        "connections": alive(ClientConnection),
        "streams": alive(ClientContinuation),
        "links": alive(sdk_adapter.SdkAdapter),
    }
