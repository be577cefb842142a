"""What every IoT Core back-end does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from gglocal.topic_filter import matches

OnMessage = Callable[[str, bytes], None]


class Offline(Exception):
    """The broker cannot be reached now."""


class IoTCore(ABC):
    """A connection to a broker, used from one asyncio loop; callbacks come on that loop."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[str, OnMessage]] = []

    @abstractmethod
    async def start(self) -> None:
        """Begin to connect; returns at once, and a broker that is away is tried again and again."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the broker."""

    @property
    def connected(self) -> bool:
        """Whether a publish would go out now."""
        return True

    @abstractmethod
    def publish(self, topic: str, payload: bytes, qos: int, sender: str | None) -> None:
        """Hand one message to the broker; returns before the broker has acknowledged it.

        Raises:
            Offline: there is no connection.
        """

    async def subscribe(self, topic_filter: str, qos: int, receive: OnMessage) -> Callable[[], None]:
        """Call `receive(topic, payload)` for each message under the filter; returns the function that ends it.

        Raises:
            Offline: there is no connection.
        """
        entry = (topic_filter, receive)
        self._subscribers.append(entry)

        def end() -> None:
            if entry in self._subscribers:
                self._subscribers.remove(entry)
                if not any(other == topic_filter for other, _ in self._subscribers):
                    self._forget(topic_filter)

        return end

    @abstractmethod
    def _forget(self, topic_filter: str) -> None:
        """The last subscriber of this filter has gone."""

    def _deliver(self, topic: str, payload: bytes) -> None:
        for topic_filter, receive in list(self._subscribers):
            if matches(topic_filter, topic):
                receive(topic, payload)
