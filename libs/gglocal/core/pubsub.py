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
    """What a publisher sent, as it stands on the wire: JSON, or base64 text for binary."""

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
        """The bytes a subscriber's application sees; text that is no base64 becomes empty."""
        if self.json:
            return json.dumps(self.value, separators=(",", ":")).encode()
        try:
            return base64.b64decode(self.value)
        except ValueError:
            return b""


Receiver = Callable[[str, Message], None]


@dataclass(eq=False)
class Subscription:
    """One subscriber; `ignores` is the component whose messages it does not want to hear."""

    topic_filter: str
    receive: Receiver
    ignores: str | None = None


class PubSub:
    """Hands each message to every matching subscription, in the order of publishing."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Subscription]] = {}
        self._wild: list[Subscription] = []

    def subscribe(self, topic_filter: str, receive: Receiver, *, ignores: str | None = None) -> Callable[[], None]:
        """Register `receive(topic, message)`; returns the function that ends it."""
        subscription = Subscription(topic_filter, receive, ignores)
        room = self._wild if is_wild(topic_filter) else self._exact.setdefault(topic_filter, [])
        room.append(subscription)

        def end() -> None:
            if subscription in room:
                room.remove(subscription)
                if not room and not is_wild(topic_filter):
                    self._exact.pop(topic_filter, None)

        return end

    def publish(self, topic: str, message: Message, sender: str | None) -> int:
        """Deliver, and return to how many."""
        heard = 0
        for each in self._receivers(topic):
            if each.ignores is None or each.ignores != sender:
                each.receive(topic, message)
                heard += 1
        return heard

    def deafen(self, topic: str) -> int:
        """Drop every subscription that would hear this topic, without a word; returns how many."""
        lost = self._receivers(topic)
        for each in lost:
            room = self._wild if is_wild(each.topic_filter) else self._exact[each.topic_filter]
            room.remove(each)
        return len(lost)

    def forget_all(self) -> None:
        """Drop every subscription, without a word."""
        for room in (*self._exact.values(), self._wild):
            room.clear()
        self._exact.clear()

    def _receivers(self, topic: str) -> list[Subscription]:
        return [*self._exact.get(topic, ()), *(each for each in self._wild if matches(each.topic_filter, topic))]
