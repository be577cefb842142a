"""The wire protocol: authentication, invalid clients, limits, and slow readers."""

from __future__ import annotations

import json
import logging
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from awsiot.eventstreamrpc import ConnectionClosedError, StreamClosedError
from awsiot.greengrasscoreipc.model import JsonMessage, PublishMessage, ServiceError

from gglocal.ipc import IpcServer, event_stream, protocol
from gglocal.ipc import connection as connection_module
from gglocal.profile import CLASSIC, LITE
from tests.gglocal.ipc_world import Inbox, World, binary, world


@pytest.fixture
def lite() -> Iterator[World]:
    with world(LITE) as made:
        yield made


def connect_payload(**fields: str) -> bytes:
    return json.dumps(fields).encode()


def test_response_has_the_headers_that_sdks_expect(lite: World) -> None:
    answer = lite.raw(lite.token()).call(7, "PublishToTopic", b'{"topic":"t","publishMessage":{"binaryMessage":{"message":"eA=="}}}')
    assert answer.headers == {
        ":message-type": 0,
        ":message-flags": 0,
        ":stream-id": 7,
        ":content-type": "application/json",
        "service-model-type": "aws.greengrass#PublishToTopicResponse",
    }
    assert json.loads(answer.payload) == {}


def test_error_ends_its_stream_and_names_its_type(lite: World) -> None:
    answer = lite.raw(lite.token(access_control={})).call(
        3, "PublishToTopic", b'{"topic":"t","publishMessage":{"binaryMessage":{"message":"eA=="}}}'
    )
    assert answer.headers == {
        ":message-type": 1,
        ":message-flags": 2,
        ":stream-id": 3,
        ":content-type": "application/json",
        "service-model-type": "aws.greengrass#UnauthorizedError",
    }
    body = json.loads(answer.payload)
    assert body["_errorCode"] == "UnauthorizedError"
    assert "message" not in body


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no json",
        b"[]",
        b'{"authToken": 5}',
        connect_payload(authToken="WRONGTOKENWRONGT"),
        connect_payload(componentName="com.test.One"),
    ],
)
def test_lite_closes_the_connection_of_an_unknown_client(lite: World, payload: bytes) -> None:
    lite.token()
    client = lite.raw()
    client.send(protocol.CONNECT, 0, payload, **{":version": "0.1.0"})
    assert client.closed()


def test_classic_acknowledges_a_refused_connect_before_closing() -> None:
    with world(CLASSIC) as nucleus:
        client = nucleus.raw()
        client.send(protocol.CONNECT, 0, connect_payload(authToken="WRONGTOKENWRONGT"), **{":version": "0.1.0"})
        answer = client.receive()
        assert (answer.headers[":message-type"], answer.headers[":message-flags"]) == (protocol.CONNECT_ACK, 0)
        assert client.closed()


def test_registration_revokes_the_old_token(lite: World) -> None:
    old = lite.token()
    new = lite.token()
    assert old != new
    lite.raw(new)
    client = lite.raw()
    client.send(protocol.CONNECT, 0, connect_payload(authToken=old))
    assert client.closed()


@pytest.mark.parametrize(
    "first",
    [
        {"kind": protocol.APPLICATION_MESSAGE, "stream": 1, "operation": "aws.greengrass#GetConfiguration"},
        {"kind": protocol.CONNECT, "stream": 1},
        {"kind": protocol.CONNECT, "stream": 0, "flags": 1},
        {"kind": protocol.CONNECT, "stream": 0, ":version": "0.2.0"},
    ],
)
def test_first_message_must_be_a_valid_connect(lite: World, first: dict) -> None:
    client = lite.raw()
    client.send(payload=connect_payload(authToken=lite.token()), **first)
    assert client.closed()


def test_ping_is_answered_on_classic_and_closes_the_connection_on_lite(lite: World) -> None:
    client = lite.raw(lite.token())
    client.send(protocol.PING, 0)
    assert client.closed()
    with world(CLASSIC) as classic:
        client = classic.raw(classic.token())
        client.send(protocol.PING, 0, b"hello")
        answer = client.receive()
        assert (answer.headers[":message-type"], answer.payload) == (protocol.PING_RESPONSE, b"hello")


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("PublishToTopic", b"{}"),
        ("PublishToTopic", b'{"topic": 5, "publishMessage": {}}'),
        ("PublishToTopic", b'{"topic":"t","publishMessage":{}}'),
        ("PublishToTopic", b'{"topic":"t","publishMessage":{"binaryMessage":{"message":5}}}'),
        ("PublishToTopic", b'{"topic":"t","publishMessage":{"jsonMessage":{"message":NaN}}}'),
        ("PublishToTopic", b"no json"),
        ("PublishToTopic", b"[]"),
        ("PublishToTopic", b"\xff\xfe"),
        ("SubscribeToTopic", b"{}"),
        ("SubscribeToTopic", b'{"topic":""}'),
        ("SubscribeToTopic", b'{"topic":"%s"}' % (b"x" * 257)),
        ("PublishToIoTCore", b'{"topicName":"t","qos":"7"}'),
        ("PublishToIoTCore", b'{"topicName":"t","payload":"*"}'),
        ("PublishToIoTCore", b'{"topicName":"t/#","payload":""}'),
        ("SubscribeToIoTCore", b"{}"),
        ("SubscribeToIoTCore", b'{"topicName":""}'),
        ("SubscribeToIoTCore", b'{"topicName":"a/#/b"}'),
        ("PublishToTopic", b'{"topic":"\\ud800","publishMessage":{"jsonMessage":{"message":1}}}'),
        ("GetConfiguration", b'{"keyPath":"a"}'),
        ("GetConfiguration", b'{"keyPath":[1]}'),
        ("UpdateState", b"{}"),
        ("UpdateState", b'{"state":7}'),
        ("NoSuchOperation", b"{}"),
        ("", b"{}"),
    ],
)
def test_invalid_arguments_are_a_service_error(lite: World, operation: str, payload: bytes) -> None:
    client = lite.raw(lite.token())
    assert client.call(1, operation, payload).headers["service-model-type"] == "aws.greengrass#ServiceError"
    assert client.call(1, "UpdateState", b'{"state":"RUNNING"}').headers[":message-type"] == 0
    assert lite.server.limits.subscriptions == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"valueToMerge":{}}',
        b'{"timestamp":1.5}',
        b'{"valueToMerge":{"a":1},"timestamp":"now"}',
        b'{"valueToMerge":{"a":1},"timestamp":17}',
        b'{"valueToMerge":{"a":1},"timestamp":1e999}',
    ],
)
def test_invalid_update_is_an_invalid_arguments_error(lite: World, payload: bytes) -> None:
    answer = lite.raw(lite.token()).call(1, "UpdateConfiguration", payload)
    assert answer.headers["service-model-type"] == "aws.greengrass#InvalidArgumentsError"


def test_random_bytes_close_only_their_connection(lite: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "gglocal.ipc")
    inbox, good = Inbox(), lite.client()
    good.subscribe_to_topic(topic="t", on_stream_event=inbox)
    chance, token = random.Random(11), lite.token("com.test.Broken")
    for round_ in range(40):
        client = lite.raw(token if round_ % 2 else None)
        client.socket.sendall(chance.randbytes(chance.randint(12, 3_000)))
        assert client.closed()
    good.publish_to_topic(topic="t", publish_message=binary(b"still here"))
    assert inbox.payload() == b"still here"
    assert "closed: the checksum of the prelude is wrong" in caplog.text


def test_headers_of_wrong_types_close_the_connection(lite: World) -> None:
    client = lite.raw(lite.token())
    client.socket.sendall(event_stream.encode({":message-type": "0", ":message-flags": 0, ":stream-id": 1}))
    assert client.closed()


def test_message_size_is_limited_on_lite(lite: World) -> None:
    inbox, client = Inbox(), lite.client()
    client.subscribe_to_topic(topic="123456789", on_stream_event=inbox)
    client.publish_to_topic(topic="123456789", publish_message=binary(b"x" * 7_299))
    assert len(inbox.payload()) == 7_299
    with pytest.raises((StreamClosedError, ConnectionClosedError)):
        client.publish_to_topic(topic="123456789", publish_message=binary(b"x" * 7_300))
    assert lite.server.limits.subscriptions == 0


def test_connections_are_limited_on_lite(lite: World) -> None:
    token = lite.token()
    clients = [lite.raw(token) for _ in range(50)]
    assert lite.raw().closed()
    clients.pop().socket.close()
    clients[0].call(1, "UpdateState", b'{"state":"RUNNING"}')
    lite.raw(token)


def test_subscriptions_are_limited_on_lite(lite: World) -> None:
    lite.do(lite.core.config.set_default, "com.test.One", {"a": 1})
    client = lite.client()
    streams = [client.subscribe_to_topic(topic=f"t/{n}", on_stream_event=Inbox())[1] for n in range(98)]
    client.subscribe_to_configuration_update(on_stream_event=Inbox())
    client.subscribe_to_iot_core(topic_name="c", qos="1", on_stream_event=Inbox())
    for call in (
        lambda: client.subscribe_to_topic(topic="t/x", on_stream_event=Inbox()),
        lambda: client.subscribe_to_configuration_update(on_stream_event=Inbox()),
        lambda: client.subscribe_to_iot_core(topic_name="d", qos="1", on_stream_event=Inbox()),
    ):
        with pytest.raises(ServiceError):
            call()
    streams[0].close().result(10)
    client.subscribe_to_topic(topic="t/x", on_stream_event=Inbox())


def test_topic_length_is_limited_on_lite(lite: World) -> None:
    client = lite.client()
    client.publish_to_topic(topic="x" * 256, publish_message=binary(b""))
    with pytest.raises(ServiceError):
        client.publish_to_topic(topic="x" * 257, publish_message=binary(b""))


def test_slow_subscriber_is_disconnected_without_affecting_others(lite: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MAX_UNSENT", 200_000)
    sleeper = lite.raw(lite.token("com.test.Sleeper"))
    sleeper.call(1, "SubscribeToTopic", b'{"topic":"t"}')
    inbox, client = Inbox(), lite.client()
    client.subscribe_to_topic(topic="t", on_stream_event=inbox)
    sent = 0
    while lite.server.limits.subscriptions == 2:
        client.publish_to_topic(topic="t", publish_message=binary(b"%07d" % sent * 1_000))
        sent += 1
        assert sent < 1_000
    assert [inbox.payload()[:7] for _ in range(sent)] == [b"%07d" % number for number in range(sent)]


def test_disconnected_subscriber_is_removed(lite: World) -> None:
    dead, client = lite.raw(lite.token("com.test.Dead")), lite.client()
    dead.call(1, "SubscribeToTopic", b'{"topic":"t"}')
    dead.socket.close()
    client.publish_to_topic(topic="t", publish_message=binary(b"x"))
    client.publish_to_topic(topic="t", publish_message=binary(b"y"))
    assert lite.server.limits.subscriptions == 0


def test_too_long_socket_path_is_reported(lite: World) -> None:
    with pytest.raises(ValueError, match="at most 107 are possible; choose a shorter root folder"):
        lite.wait(IpcServer(lite.core, lite.folder / ("x" * 107)).start())


def test_stale_socket_is_replaced_and_a_used_one_is_not(lite: World) -> None:
    with pytest.raises(OSError, match="another nucleus listens"):
        lite.wait(IpcServer(lite.core, lite.socket_path).start())
    stale = Path(lite.folder / "stale")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    again = IpcServer(lite.core, stale)
    lite.wait(again.start())
    lite.wait(again.close())
    assert not stale.exists()


def test_too_large_json_is_refused_on_lite(lite: World) -> None:
    client = lite.client()
    for value in ({"n": [0] * 193}, {str(n): 0 for n in range(102)}, {"ns": 1_700_000_000_000_000_000}):
        with pytest.raises(ServiceError):
            client.publish_to_topic(topic="t", publish_message=PublishMessage(json_message=JsonMessage(message=value)))


def test_large_json_is_lost_with_its_subscriptions_on_lite(lite: World) -> None:
    dropped, client = Inbox(), lite.client()
    client.subscribe_to_topic(topic="t", on_stream_event=dropped)
    client.publish_to_topic(topic="t", publish_message=PublishMessage(json_message=JsonMessage(message={"n": [0] * 60})))
    receives = Inbox()
    client.subscribe_to_topic(topic="t", on_stream_event=receives)
    client.publish_to_topic(topic="t", publish_message=binary(b"x"))
    assert receives.payload() == b"x"
    assert dropped.empty()
