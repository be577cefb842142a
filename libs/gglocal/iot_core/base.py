"""The interface of every IoT Core backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from gglocal.topic_filter import matches

OnMessage = Callable[[str, bytes], None]


class Offline(Exception):
    """There is no connection to the broker."""


class IoTCore(ABC):
    """A connection to a broker. Used on one asyncio event loop, on which callbacks are called."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[str, OnMessage]] = []

    @abstractmethod
    async def start(self) -> None:
        """Start to connect, and return at once; an unreachable broker is retried."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @property
    def connected(self) -> bool:
        """Whether messages can be published."""
        return True

    @abstractmethod
    def publish(self, topic: str, payload: bytes, qos: int, sender: str | None) -> None:
        """Send one message, without waiting for its acknowledgement.

        Raises:
            Offline: there is no connection.
        """

    async def subscribe(self, topic_filter: str, qos: int, receive: OnMessage) -> Callable[[], None]:
        """Call `receive(topic, payload)` for each message that matches the filter; returns a function that ends it.

        Raises:
            Offline: there is no connection.
        """
        entry = (topic_filter, receive)
        self._subscribers.append(entry)

        def end() -> None:
            if entry in self._subscribers:
                self._subscribers.remove(entry)
                if not any(other == topic_filter for other, _ in self._subscribers):
                    self._unsubscribe(topic_filter)

        return end

    @abstractmethod
    def _unsubscribe(self, topic_filter: str) -> None:
        """Called when the last subscriber of a filter has ended."""

    def _deliver(self, topic: str, payload: bytes) -> None:
        for topic_filter, receive in list(self._subscribers):
            if matches(topic_filter, topic):
                receive(topic, payload)
