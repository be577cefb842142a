"""The contract of `Bus.publish`, kept by the real bus and by the fake that replaces it in tests of services."""

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

Accepted = Callable[[], list[tuple[str, bytes]]]
GRANTED = {
    "aws.greengrass.ipc.pubsub": {"p": {"operations": ["*"], "resources": ["good/*"]}},
    "aws.greengrass.ipc.mqttproxy": {"p": {"operations": ["*"], "resources": ["good/*"]}},
}


@pytest.fixture(params=["real", "signed", "fake"])
def bus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Bus, Accepted, Accepted]]:
    """A bus with access to `good/...` only, and the messages accepted locally and for the cloud; `signed`: local topics are signed."""
    if request.param == "fake":
        fake = FakeBus()
        fake.failing_topics = {"bad/1"}
        yield fake, lambda: fake.local, lambda: fake.cloud
        return
    with world() as nucleus:
        delivered: list[tuple[str, str, bytes]] = []
        nucleus.do(nucleus.core.tap, lambda delivery: delivered.append((delivery.kind, delivery.topic, delivery.payload)))
        monkeypatch.setenv("SVCUID", nucleus.token("com.test.One", GRANTED))
        monkeypatch.setenv("AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT", str(nucleus.socket_path))
        verifier = None
        if request.param == "signed":
            monkeypatch.setattr(topics, "SIGNED", {"good/1", "good/2", "bad/1"})
            verifier = MessageVerifier("com.test.One", tmp_path)
            verifier.configure(MessageAuthOptions())
        real = IpcBus("com.test.One", verifier, patience_s=0.1)
        real.open()

        def accepted(kind: str) -> list[tuple[str, bytes]]:
            local = kind == "local" and verifier is not None
            assert all(payload.startswith(SIGNATURE_MARK) == local for way, _, payload in delivered if way == kind)
            return [(topic, strip_signature(payload)) for way, topic, payload in delivered if way == kind]

        yield real, lambda: accepted("local"), lambda: accepted("to-iot")
        real.close()


def test_messages_are_accepted_in_order(bus):
    sender, local, _ = bus
    assert all(sender.publish("good/1", bytes([number])) for number in range(5))
    assert local() == [("good/1", bytes([number])) for number in range(5)]


def test_local_and_cloud_are_separate(bus):
    sender, local, cloud = bus
    assert sender.publish("good/1", b"l") and sender.publish_cloud("good/2", b"c")
    assert (local(), cloud()) == ([("good/1", b"l")], [("good/2", b"c")])


def test_failed_publish_returns_false(bus):
    sender, local, _ = bus
    assert sender.publish("bad/1", b"") is False
    assert sender.publish("good/1", b"x")
    assert local() == [("good/1", b"x")]


@pytest.mark.parametrize("send", ["publish", "publish_cloud"])
def test_longest_message_is_accepted_and_one_more_byte_is_not(bus, send):
    sender, local, cloud = bus
    assert getattr(sender, send)("good/1", bytes(MAX_PAYLOAD)) is True
    assert getattr(sender, send)("good/1", bytes(MAX_PAYLOAD + 1)) is False
    assert len(local() + cloud()) == 1
