"""PublishToTopic: `topic`, `publishMessage` with either `jsonMessage.message` or `binaryMessage.message` (base64)."""

from __future__ import annotations

from gglocal.core.pubsub import Message
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request


def handle(request: Request) -> None:
    topic, message = request.argument("topic", str), _message(request)
    request.authorize(topic)
    profile = request.core.profile
    if len(topic.encode()) > profile.max_topic:
        raise IpcError("ServiceError", f"the topic is longer than {profile.max_topic} bytes")
    if profile.receive_modes and any(char in topic for char in "+#*"):
        raise IpcError("InvalidArgumentsError", "Publish topic must not contain a wildcard.")
    request.core.publish(topic, message, request.component)


def _message(request: Request) -> Message:
    both = request.argument("publishMessage", dict)
    given = [name for name in ("jsonMessage", "binaryMessage") if both.get(name) is not None]
    if len(given) != 1:
        raise request.invalid("publishMessage must have exactly one of jsonMessage and binaryMessage")
    inner = both[given[0]]
    as_json = given[0] == "jsonMessage"
    if not isinstance(inner, dict) or "message" not in inner or not (as_json or isinstance(inner["message"], str)):
        raise request.invalid(f"{given[0]} has no message")
    return Message(as_json, inner["message"])
