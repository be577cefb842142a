"""SubscribeToTopic: `topic` (an MQTT filter), `receiveMode`."""

from __future__ import annotations

from gglocal.core.pubsub import Message
from gglocal.ipc.errors import IpcError
from gglocal.ipc.request import Request
from gglocal.topic_filter import is_wild

FROM_OTHERS, ALL = "RECEIVE_MESSAGES_FROM_OTHERS", "RECEIVE_ALL_MESSAGES"


def handle(request: Request) -> None:
    topic_filter = request.argument("topic", str)
    ignored_sender = request.component if _mode(request, topic_filter) == FROM_OTHERS else None
    request.authorize(topic_filter)
    if not topic_filter or len(topic_filter.encode()) > request.core.profile.max_topic:
        raise IpcError("ServiceError", f"a topic filter must have 1 to {request.core.profile.max_topic} bytes")
    request.check_subscription_limit()

    def receive(topic: str, message: Message) -> None:
        request.send_event("SubscriptionResponseMessage", message.event(topic))

    request.keep_open(request.core.pubsub.subscribe(topic_filter, receive, ignored_sender=ignored_sender))


def _mode(request: Request, topic_filter: str) -> str:
    if not request.core.profile.receive_modes:
        return ALL
    mode = request.optional("receiveMode", str) or (FROM_OTHERS if is_wild(topic_filter) else ALL)
    if mode not in (FROM_OTHERS, ALL):
        raise request.invalid(f"receiveMode {mode} is unknown; use {ALL} or {FROM_OTHERS}")
    return mode
