"""What a service relies on when it publishes: the same of the real bus and of the fake that stands for it in tests of services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeml.auth.device_key import MessageAuthOptions
from edgeml.auth.verifier import MessageVerifier
from edgeml.ipc.bus import Bus, IpcBus
from edgeml.messages import MAX_PAYLOAD, topics
from edgeml.messages.signature_line import SIGNATURE_MARK, strip_signature
from tests.fake_bus import FakeBus
from tests.gglocal.ipc_world import world

Kept = Callable[[], list[tuple[str, bytes]]]
GRANTED = {
    "aws.greengrass.ipc.pubsub": {"p": {"operations": ["*"], "resources": ["good/*"]}},
    "aws.greengrass.ipc.mqttproxy": {"p": {"operations": ["*"], "resources": ["good/*"]}},
}


@pytest.fixture(params=["real", "sealed", "fake"])
def bus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Bus, Kept, Kept]]:
    """A bus that may publish on `good/...` only, and what was taken locally and for the cloud; `sealed`: local topics have seals."""
    if request.param == "fake":
        fake = FakeBus()
        fake.deaf = {"bad/1"}
        yield fake, lambda: fake.local, lambda: fake.cloud
        return
    with world() as nucleus:
        heard: list[tuple[str, str, bytes]] = []
        nucleus.do(nucleus.core.tap, lambda delivery: heard.append((delivery.kind, delivery.topic, delivery.payload)))
        monkeypatch.setenv("SVCUID", nucleus.token("com.test.One", GRANTED))
        monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
        guard = None
        if request.param == "sealed":
            monkeypatch.setattr(topics, "SEALED", {"good/1", "good/2", "bad/1"})
            guard = MessageVerifier("com.test.One", tmp_path)
            guard.configure(MessageAuthOptions())
        real = IpcBus("com.test.One", guard, patience_s=0.1)
        real.open()

        def kept(kind: str) -> list[tuple[str, bytes]]:
            local = kind == "local" and guard is not None
            assert all(payload.startswith(SIGNATURE_MARK) == local for what, _, payload in heard if what == kind)
            return [(topic, strip_signature(payload)) for what, topic, payload in heard if what == kind]

        yield real, lambda: kept("local"), lambda: kept("to-iot")
        real.close()


def test_what_is_taken_is_taken_in_order(bus):
    sender, local, _ = bus
    assert all(sender.publish("good/1", bytes([number])) for number in range(5))
    assert local() == [("good/1", bytes([number])) for number in range(5)]


def test_local_and_cloud_are_apart(bus):
    sender, local, cloud = bus
    assert sender.publish("good/1", b"l") and sender.publish_cloud("good/2", b"c")
    assert (local(), cloud()) == ([("good/1", b"l")], [("good/2", b"c")])


def test_what_cannot_be_sent_is_false_and_not_an_exception(bus):
    sender, local, _ = bus
    assert sender.publish("bad/1", b"") is False
    assert sender.publish("good/1", b"x")
    assert local() == [("good/1", b"x")]


@pytest.mark.parametrize("send", ["publish", "publish_cloud"])
def test_the_longest_message_and_one_byte_more(bus, send):
    sender, local, cloud = bus
    assert getattr(sender, send)("good/1", bytes(MAX_PAYLOAD)) is True
    assert getattr(sender, send)("good/1", bytes(MAX_PAYLOAD + 1)) is False
    assert len(local() + cloud()) == 1
