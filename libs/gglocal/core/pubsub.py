"""Local publish/subscribe inside a nucleus."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gglocal.topic_filter import is_wild, matches


@dataclass
class Message:
    """A published message as on the wire: JSON, or base64 text for binary."""

    json: bool
    value: Any
    _event: bytes | None = None

    @classmethod
    def of_bytes(cls, payload: bytes) -> Message:
        return cls(False, base64.b64encode(payload).decode())

    def event(self, topic: str) -> bytes:
        """The body of a `SubscriptionResponseMessage`; the same bytes go to every subscriber."""
        if self._event is None:
            kind = "jsonMessage" if self.json else "binaryMessage"
            self._event = json.dumps({kind: {"message": self.value, "context": {"topic": topic}}}).encode()
        return self._event

    def payload(self) -> bytes:
        """The bytes that a subscriber receives; invalid base64 becomes empty."""
        if self.json:
            return json.dumps(self.value, separators=(",", ":")).encode()
        try:
            return base64.b64decode(self.value)
        except ValueError:
            return b""


Receiver = Callable[[str, Message], None]


@dataclass(eq=False)
class Subscription:
    """One subscriber; messages from the component `ignored_sender` are not delivered to it."""

    topic_filter: str
    receive: Receiver
    ignored_sender: str | None = None


class PubSub:
    """Delivers each message to every matching subscription, in the order of publishing."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Subscription]] = {}
        self._wild: list[Subscription] = []

    def subscribe(self, topic_filter: str, receive: Receiver, *, ignored_sender: str | None = None) -> Callable[[], None]:
        """Register `receive(topic, message)`; returns a function that ends the subscription."""
        subscription = Subscription(topic_filter, receive, ignored_sender)
        group = self._wild if is_wild(topic_filter) else self._exact.setdefault(topic_filter, [])
        group.append(subscription)

        def end() -> None:
            if subscription in group:
                group.remove(subscription)
                if not group and not is_wild(topic_filter):
                    self._exact.pop(topic_filter, None)

        return end

    def publish(self, topic: str, message: Message, sender: str | None) -> int:
        """Deliver a message; returns the number of subscriptions that received it."""
        delivered = 0
        for each in self._matching(topic):
            if each.ignored_sender is None or each.ignored_sender != sender:
                each.receive(topic, message)
                delivered += 1
        return delivered

    def drop_matching(self, topic: str) -> int:
        """Drop every subscription that matches this topic without notice; returns their number."""
        dropped = self._matching(topic)
        for each in dropped:
            group = self._wild if is_wild(each.topic_filter) else self._exact[each.topic_filter]
            group.remove(each)
        return len(dropped)

    def drop_all(self) -> None:
        """Drop every subscription without notice."""
        for group in (*self._exact.values(), self._wild):
            group.clear()
        self._exact.clear()

    def _matching(self, topic: str) -> list[Subscription]:
        return [*self._exact.get(topic, ()), *(each for each in self._wild if matches(each.topic_filter, topic))]
