"""Every operation, with the real awsiotsdk client."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from awsiot.greengrasscoreipc.model import (
    FailedUpdateConditionCheckError,
    InvalidArgumentsError,
    JsonMessage,
    PublishMessage,
    ReceiveMode,
    ReportedLifecycleState,
    ResourceNotFoundError,
    ServiceError,
    UnauthorizedError,
)

from gglocal.core.pubsub import Message
from gglocal.core.state import Delivery, Refusal
from gglocal.profile import CLASSIC, LITE, Profile
from tests.gglocal.ipc_world import EVERYTHING, Inbox, World, binary, world

ONE, TWO = "com.test.One", "com.test.Two"
LOCAL = "aws.greengrass.ipc.pubsub"


@pytest.fixture
def lite() -> Iterator[World]:
    with world(LITE) as made:
        yield made


@pytest.fixture
def classic() -> Iterator[World]:
    with world(CLASSIC) as made:
        yield made


@pytest.fixture(params=[LITE, CLASSIC], ids=lambda profile: profile.name)
def either(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as made:
        yield made


def now(offset: float = 0.0) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(2_000_000_000.25 + offset, datetime.timezone.utc)


def test_messages_are_delivered_in_order(either: World) -> None:
    inbox = Inbox()
    sender, receiver = either.client(ONE), either.client(TWO)
    receiver.subscribe_to_topic(topic="a/+/c", on_stream_event=inbox)
    for number in range(200):
        sender.publish_to_topic(topic="a/b/c", publish_message=binary(b"%d" % number))
    sender.publish_to_topic(topic="a/b", publish_message=binary(b"elsewhere"))
    events = [inbox.take() for _ in range(200)]
    assert [event.binary_message.message for event in events] == [b"%d" % number for number in range(200)]
    assert {event.binary_message.context.topic for event in events} == {"a/b/c"}
    assert inbox.empty()


def test_json_messages_are_delivered_as_json(either: World) -> None:
    inbox, client = Inbox(), either.client()
    client.subscribe_to_topic(topic="t", on_stream_event=inbox)
    value = {"a": [1, 2.5, "ü", None, True], "b": {"c": {}}}
    client.publish_to_topic(topic="t", publish_message=PublishMessage(json_message=JsonMessage(message=value)))
    assert inbox.take().json_message.message == value


def test_closed_stream_releases_its_subscription(either: World) -> None:
    closed, stays, client = Inbox(), Inbox(), either.client()
    _, stream = client.subscribe_to_topic(topic="t", on_stream_event=closed)
    client.subscribe_to_topic(topic="t", on_stream_event=stays)
    stream.close().result(10)
    client.publish_to_topic(topic="t", publish_message=binary(b"x"))
    assert stays.payload() == b"x"
    assert closed.empty()
    assert either.server.limits.subscriptions == 1


MODES = [
    # filter, mode, receives its own messages on Lite, on classic
    ("t/x", None, True, True),
    ("t/+", None, True, False),
    ("t/#", None, True, False),
    ("t/+", ReceiveMode.RECEIVE_ALL_MESSAGES, True, True),
    ("t/x", ReceiveMode.RECEIVE_ALL_MESSAGES, True, True),
    ("t/x", ReceiveMode.RECEIVE_MESSAGES_FROM_OTHERS, True, False),
]


@pytest.mark.parametrize("profile", [LITE, CLASSIC], ids=lambda profile: profile.name)
@pytest.mark.parametrize(("topic_filter", "mode", "on_lite", "on_classic"), MODES)
def test_receive_modes(profile: Profile, topic_filter: str, mode: str | None, on_lite: bool, on_classic: bool) -> None:
    with world(profile) as nucleus:
        inbox, one, two = Inbox(), nucleus.client(ONE), nucleus.client(TWO)
        one.subscribe_to_topic(topic=topic_filter, receive_mode=mode, on_stream_event=inbox)
        one.publish_to_topic(topic="t/x", publish_message=binary(b"own"))
        two.publish_to_topic(topic="t/x", publish_message=binary(b"other"))
        receives_own = on_lite if profile is LITE else on_classic
        assert [inbox.payload() for _ in range(1 + receives_own)] == ([b"own"] if receives_own else []) + [b"other"]


def test_unauthorized_calls_are_refused_and_recorded(either: World) -> None:
    reported: list[Refusal] = []
    either.do(either.core.on_refusal, reported.append)
    policies = {LOCAL: {"p": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["mine/*"]}}}
    client = either.client(ONE, policies)
    client.publish_to_topic(topic="mine/x/y", publish_message=binary(b""))
    calls = {
        "aws.greengrass#PublishToTopic": lambda: client.publish_to_topic(topic="other", publish_message=binary(b"")),
        "aws.greengrass#SubscribeToTopic": lambda: client.subscribe_to_topic(topic="mine/x", on_stream_event=Inbox()),
        "aws.greengrass#PublishToIoTCore": lambda: client.publish_to_iot_core(topic_name="mine/x", qos="1", payload=b""),
        "aws.greengrass#SubscribeToIoTCore": lambda: client.subscribe_to_iot_core(topic_name="mine/x", qos="1", on_stream_event=Inbox()),
    }
    for call in calls.values():
        with pytest.raises(UnauthorizedError):
            call()
    assert [(one.component, one.operation, one.resource) for one in reported] == [
        (ONE, operation, "other" if operation.endswith("PublishToTopic") else "mine/x") for operation in calls
    ]
    assert either.core.refusals == reported


def test_errors_have_a_message_on_classic_only(lite: World, classic: World) -> None:
    for nucleus, expected in ((lite, None), (classic, "com.test.One is not authorized")):
        with pytest.raises(UnauthorizedError) as caught:
            nucleus.client(ONE, {}).publish_to_topic(topic="t", publish_message=binary(b""))
        assert (caught.value.message or "").startswith(expected or "")
        assert bool(caught.value.message) is (expected is not None)


def test_iot_core_messages_are_recorded_and_delivered(either: World) -> None:
    inbox, client = Inbox(), either.client()
    client.subscribe_to_iot_core(topic_name="cloud/+", qos="1", on_stream_event=inbox)
    client.publish_to_iot_core(topic_name="cloud/a", qos="1", payload=b"\x00\xff")
    client.publish_to_iot_core(topic_name="other", qos="0", payload=b"text")
    message = inbox.take().message
    assert (message.topic_name, message.payload) == ("cloud/a", b"\x00\xff")
    lines = [json.loads(line) for line in either.record.read_text().splitlines()]
    assert [(line["topic"], line["qos"], line["sender"], line.get("text")) for line in lines] == [
        ("cloud/a", 1, ONE, None),
        ("other", 0, ONE, "text"),
    ]
    assert base64.b64decode(lines[0]["payload"]) == b"\x00\xff"


def test_tap_receives_each_accepted_message(either: World) -> None:
    seen: list[Delivery] = []
    end = either.do(either.core.tap, seen.append)
    client = either.client()
    client.subscribe_to_iot_core(topic_name="c", qos="1", on_stream_event=Inbox())
    client.publish_to_topic(topic="t", publish_message=binary(b"x"))
    client.publish_to_topic(topic="t", publish_message=PublishMessage(json_message=JsonMessage(message={"a": 1})))
    client.publish_to_iot_core(topic_name="c", qos="1", payload=b"y")
    either.do(end)
    client.publish_to_topic(topic="t", publish_message=binary(b"unseen"))
    assert [(one.kind, one.topic, one.payload, one.sender, one.receiver) for one in seen] == [
        ("local", "t", b"x", ONE, None),
        ("local", "t", b'{"a":1}', ONE, None),
        ("to-iot", "c", b"y", ONE, None),
        ("from-iot", "c", b"y", None, ONE),
    ]


def test_configuration_is_read_by_key_path(either: World) -> None:
    either.do(either.core.config.set_default, ONE, {"a": {"b": [1, "2"], "c": None}, "n": 0.5})
    either.do(either.core.config.set_default, TWO, {"other": True})
    client = either.client(ONE, {})
    assert client.get_configuration().value == {"a": {"b": [1, "2"], "c": None}, "n": 0.5}
    assert client.get_configuration(key_path=["a"]).value == {"b": [1, "2"], "c": None}
    assert client.get_configuration(key_path=["a", "b"]).value == {"b": [1, "2"]}
    assert client.get_configuration(key_path=["n"]).value == {"n": 0.5}
    reply = client.get_configuration(component_name=TWO)
    assert (reply.component_name, reply.value) == (TWO, {"other": True})
    for unknown in ({"key_path": ["a", "x"]}, {"component_name": "com.test.Unknown"}):
        with pytest.raises(ResourceNotFoundError):
            client.get_configuration(**unknown)


def test_configuration_updates_are_delivered_to_subscribers(either: World) -> None:
    either.do(either.core.config.set_default, ONE, {"a": {"b": 1, "c": 1}, "d": 1})
    whole, part = Inbox(), Inbox()
    client, other = either.client(ONE, {}), either.client(TWO, {})
    client.subscribe_to_configuration_update(on_stream_event=whole)
    other.subscribe_to_configuration_update(component_name=ONE, key_path=["a"], on_stream_event=part)
    client.update_configuration(value_to_merge={"a": {"b": 2, "c": 2}}, timestamp=now())
    client.update_configuration(key_path=["d"], value_to_merge=5, timestamp=now())
    events = [whole.take().configuration_update_event for _ in range(3)]
    assert [(event.component_name, event.key_path) for event in events] == [(ONE, ["a", "b"]), (ONE, ["a", "c"]), (ONE, ["d"])]
    assert [part.take().configuration_update_event.key_path for _ in range(2)] == [["a", "b"], ["a", "c"]]
    assert part.empty()
    with pytest.raises(ResourceNotFoundError):
        client.subscribe_to_configuration_update(key_path=["unknown"], on_stream_event=Inbox())


def test_stale_update_is_ignored_on_lite(lite: World) -> None:
    client = lite.client(ONE, {})
    client.update_configuration(value_to_merge={"a": 1}, timestamp=now())
    client.update_configuration(value_to_merge={"a": 2}, timestamp=now(-10))
    assert client.get_configuration(key_path=["a"]).value == {"a": 1}


def test_stale_update_is_an_error_on_classic(classic: World) -> None:
    client = classic.client(ONE, {})
    client.update_configuration(value_to_merge={"a": 1}, timestamp=now())
    with pytest.raises(FailedUpdateConditionCheckError):
        client.update_configuration(value_to_merge={"a": 2}, timestamp=now(-10))
    assert client.get_configuration(key_path=["a"]).value == {"a": 1}


def test_access_control_cannot_be_updated(either: World) -> None:
    client = either.client()
    client.update_configuration(value_to_merge={"a": 1}, timestamp=now())
    with pytest.raises(InvalidArgumentsError):
        client.update_configuration(value_to_merge={"accessControl": EVERYTHING}, timestamp=now())
    with pytest.raises(InvalidArgumentsError):
        client.update_configuration(key_path=["accessControl", "x"], value_to_merge={"y": 1}, timestamp=now())
    with pytest.raises(ServiceError):
        client.update_configuration(value_to_merge={"a": {"b": 1}}, timestamp=now())


def test_component_reports_its_state(either: World) -> None:
    reported: list[tuple[str, str]] = []
    either.do(either.core.on_state, lambda component, state: reported.append((component, state)))
    client = either.client(ONE, {})
    client.update_state(state=ReportedLifecycleState.RUNNING)
    client.update_state(state=ReportedLifecycleState.ERRORED)
    with pytest.raises(ServiceError):
        client.update_state(state="BROKEN")
    assert reported == [(ONE, "RUNNING"), (ONE, "ERRORED")]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.put_component_metric(metrics=[]),
        lambda client: client.pause_component(component_name=ONE),
    ],
)
def test_unsupported_operation_is_a_service_error(either: World, call: object) -> None:
    client = either.client()
    with pytest.raises(ServiceError):
        call(client)
    assert client.publish_to_topic(topic="t", publish_message=binary(b"")) is not None


def test_publish_returns_the_number_of_subscriptions(either: World) -> None:
    client = either.client()
    for topic in ("t/1", "t/+", "other"):
        client.subscribe_to_topic(topic=topic, on_stream_event=Inbox())
    assert either.do(either.core.publish, "t/1", Message.of_bytes(b"x")) == 2
    assert either.do(either.core.publish, "nobody", Message.of_bytes(b"x")) == 0


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-AbCdEf"
SECRETS = {"aws.greengrass.SecretManager": {"one": {"operations": ["aws.greengrass#GetSecretValue"], "resources": [SECRET, "absent"]}}}


def test_secret_is_a_file_of_the_root_folder_on_classic(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / quote(SECRET, safe="")).write_text("s3cret")
    with world(CLASSIC) as classic:
        classic.core.root_path = str(tmp_path)
        client = classic.client(ONE, SECRETS)
        answer = client.get_secret_value(secret_id=SECRET)
        assert (answer.secret_id, answer.secret_value.secret_string, answer.version_stage) == (SECRET, "s3cret", ["AWSCURRENT"])
        with pytest.raises(ResourceNotFoundError):
            client.get_secret_value(secret_id="absent")
        with pytest.raises(UnauthorizedError):
            client.get_secret_value(secret_id="another")
    with world(LITE) as lite, pytest.raises(ServiceError):
        lite.client(ONE, SECRETS).get_secret_value(secret_id=SECRET)


def _objects(count: int) -> dict[str, int]:
    """A configuration with this number of keys and values, in addition to the response's own four."""
    return {f"k{number}": number for number in range(count // 2)}


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (_objects(250), True),
        (_objects(252), False),
        ([1] * 249, True),
        ([1] * 250, False),  # its key and its value count too
        ({"a": "x" * 9_000}, True),
        ({"a": "x" * 9_990}, False),
    ],
    ids=["objects", "too-many-objects", "items", "too-many-items", "bytes", "too-many-bytes"],
)
def test_response_size_is_limited_on_lite(either: World, value: object, fits: bool) -> None:
    either.do(either.core.config.set_default, ONE, {"part": value, "other": 1})
    client = either.client(ONE, {})
    wanted = value if isinstance(value, dict) else {"part": value}
    if fits or either.core.profile.name == "classic":
        assert client.get_configuration(key_path=["part"]).value == wanted
        return
    for key_path in (["part"], []):
        with pytest.raises(ServiceError) as error:
            client.get_configuration(key_path=key_path)
        assert not error.value.message
    assert client.get_configuration(key_path=["other"]).value == {"other": 1}
