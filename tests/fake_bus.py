"""A fake of `edgeml.ipc.bus.Bus` for tests of services. Like the real bus, it keeps the contract in
tests/edgeml/ipc/test_bus_contract.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeml.ipc.bus import Received
from edgeml.messages import MAX_PAYLOAD, decode


class FakeBus:
    """Records published messages.

    Attributes:
        local, cloud: (topic, payload) of each accepted message, in order.
        failing_topics: topics on which publishing fails.
        attempts: number of calls, including failed ones.
        on_publish: called with the topic before each attempt.
        queued: received items that wait.
        resubscribe_reasons: the reasons passed to `resubscribe_unmonitored`.
    """

    def __init__(self) -> None:
        self.local: list[tuple[str, bytes]] = []
        self.cloud: list[tuple[str, bytes]] = []
        self.failing_topics: set[str] = set()
        self.attempts = 0
        self.on_publish: Callable[[str], None] = lambda topic: None
        self.resubscribe_reasons: list[str] = []
        self.queued: list[Received] = []

    def publish(self, topic: str, payload: bytes) -> bool:
        return self._accept(self.local, topic, payload)

    def publish_cloud(self, topic: str, payload: bytes) -> bool:
        return self._accept(self.cloud, topic, payload)

    def resubscribe_unmonitored(self, reason: str) -> None:
        self.resubscribe_reasons.append(reason)

    def take_queued(self, topic: str) -> Received | None:
        found = next((item for item in self.queued if item.topic == topic), None)
        if found is not None:
            self.queued.remove(found)
        return found

    def _accept(self, where: list[tuple[str, bytes]], topic: str, payload: bytes) -> bool:
        self.attempts += 1
        self.on_publish(topic)
        if topic in self.failing_topics or len(payload) > MAX_PAYLOAD:
            return False
        where.append((topic, payload))
        return True

    def messages(self, topic: str) -> list[Any]:
        """The messages published on a local topic."""
        return [decode(payload) for at, payload in self.local if at == topic]

    def take(self, topic: str) -> list[Any]:
        """As `messages`, and remove them."""
        taken = self.messages(topic)
        self.local = [(at, payload) for at, payload in self.local if at != topic]
        return taken
