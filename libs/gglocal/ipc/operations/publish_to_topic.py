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
    message = request.argument("publishMessage", dict)
    variants = [name for name in ("jsonMessage", "binaryMessage") if message.get(name) is not None]
    if len(variants) != 1:
        raise request.invalid("publishMessage must have exactly one of jsonMessage and binaryMessage")
    content = message[variants[0]]
    as_json = variants[0] == "jsonMessage"
    if not isinstance(content, dict) or "message" not in content or not (as_json or isinstance(content["message"], str)):
        raise request.invalid(f"{variants[0]} has no message")
    return Message(as_json, content["message"])
