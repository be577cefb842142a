"""A configuration larger than one answer of the nucleus, against gglocal's real IPC server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from edgeml.config.schema import known
from edgeml.errors import BusError, ConfigurationTooLarge
from edgeml.ipc import sdk_adapter
from edgeml.ipc.bus import IpcBus
from gglocal.core.fault_injection import CallFilter
from gglocal.profile import CLASSIC
from tests.gglocal.ipc_world import EVERYTHING, World, world

NAME = "com.test.One"
MANY = {f"m{number}": {"source": "simulator"} for number in range(40)}
"""160 of 255 names and values."""


class Inner(msgspec.Struct, frozen=True):
    names: dict[str, Any] = {}
    level: float = 0.5


class Options(msgspec.Struct, frozen=True):
    assets: Annotated[dict[str, Any], Meta(description="any")] = {}
    others: dict[str, Any] = {}
    inner: Inner = Inner()
    threads: int = 1


KNOWN = known(Options)


@pytest.fixture
def nucleus() -> Iterator[World]:
    with world() as running:
        yield running


def open_bus(nucleus: World, monkeypatch: pytest.MonkeyPatch) -> IpcBus:
    monkeypatch.setenv("SVCUID", nucleus.token(NAME, EVERYTHING))
    monkeypatch.setenv(sdk_adapter.SOCKET, str(nucleus.socket_path))
    bus = IpcBus(NAME)
    bus.open()
    return bus


@pytest.fixture
def bus(nucleus: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[IpcBus]:
    opened = open_bus(nucleus, monkeypatch)
    yield opened
    opened.close()


def put(nucleus: World, value: dict[str, Any], at: int = 1) -> None:
    nucleus.do(nucleus.core.config.merge, NAME, value, at)


def calls(nucleus: World, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The key paths that are requested from now on."""
    requested: list[list[str]] = []
    get = nucleus.core.config.get
    monkeypatch.setattr(nucleus.core.config, "get", lambda component, path=(): (requested.append(list(path)), get(component, path))[1])
    return requested


def test_known_keys_of_an_options_class():
    assert known(Options) == {"assets": {}, "others": {}, "inner": {"names": {}, "level": {}}, "threads": {}}


def test_small_configuration_is_read_in_one_call(nucleus, bus, monkeypatch):
    put(nucleus, {"assets": MANY, "strange": 1})
    requested = calls(nucleus, monkeypatch)
    assert bus.configuration(0.0, KNOWN) == {"assets": MANY, "strange": 1}
    assert requested == [[]]


def test_large_configuration_is_read_by_key(nucleus, bus, monkeypatch):
    whole = {"assets": MANY, "others": MANY, "inner": {"names": MANY, "level": "0.7"}, "threads": 3}
    put(nucleus, whole)
    requested = calls(nucleus, monkeypatch)
    assert bus.configuration(0.0, KNOWN) == whole
    first = len(requested)
    assert bus.configuration(0.0, KNOWN) == whole
    assert requested[first:] == [["assets"], ["others"], ["inner"], ["threads"]]  # no request fails a second time


def test_large_nested_map_is_read_by_key(nucleus, bus):
    whole = {"inner": {"names": {f"n{number}": 1 for number in range(120)}, "level": ["x"] * 40}}
    put(nucleus, whole)
    assert bus.configuration(0.0, KNOWN) == whole


def test_configuration_that_fits_again_is_read_with_its_unknown_keys(nucleus, bus):
    put(nucleus, {"assets": MANY, "others": MANY, "strange": 1})
    assert "strange" not in bus.configuration(0.0, KNOWN)
    nucleus.do(nucleus.core.config.reset, NAME, ["others"])
    bus.configuration(0.0, KNOWN)  # notices the change
    assert bus.configuration(0.0, KNOWN) == {"assets": MANY, "strange": 1}


@pytest.mark.parametrize("fits_at_first", [True, False])
def test_value_that_is_too_large_is_named_with_its_key_path(nucleus, bus, fits_at_first):
    if fits_at_first:
        put(nucleus, {"assets": MANY})
        bus.configuration(0.0, KNOWN)
    put(nucleus, {"assets": MANY, "inner": {"names": {f"n{number}": 1 for number in range(130)}}})
    with pytest.raises(ConfigurationTooLarge, match=r"`inner\.names` cannot be read: .*pump-\{001\.\.200\}"):
        bus.configuration(0.0, KNOWN)


def test_long_text_is_too_large(nucleus, bus):
    put(nucleus, {"assets": {f"m{number}": "x" * 500 for number in range(25)}})
    with pytest.raises(ConfigurationTooLarge, match="`assets`"):
        bus.configuration(0.0, KNOWN)


def test_store_outage_is_not_mistaken_for_a_large_value(nucleus, bus):
    put(nucleus, {"assets": MANY, "others": MANY})
    bus.configuration(0.0, KNOWN)
    nucleus.do(nucleus.core.fault_injector.refuse, CallFilter(operation="GetConfiguration"), "ServiceError")
    with pytest.raises(BusError, match="is the nucleus's configuration store running") as fault:
        bus.configuration(0.0, KNOWN)
    assert not isinstance(fault.value, ConfigurationTooLarge)


def test_removed_configuration_is_empty(nucleus, bus):
    put(nucleus, {"assets": MANY, "others": MANY})
    bus.configuration(0.0, KNOWN)
    nucleus.do(nucleus.core.config.reset, NAME, [])
    assert bus.configuration(0.0, KNOWN) == {}


def test_classic_has_no_limit(monkeypatch):
    with world(CLASSIC) as nucleus:
        bus = open_bus(nucleus, monkeypatch)
        put(nucleus, {"assets": {f"m{number}": {"source": "x"} for number in range(1000)}})
        assert len(bus.configuration(0.0, KNOWN)["assets"]) == 1000
        bus.close()
