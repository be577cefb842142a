"""A fake of `edgeml.ipc.bus.Bus`, for tests of services; it keeps the contract in tests/edgeml/ipc/test_bus_contract.py, as the real one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeml.ipc.bus import Received
from edgeml.messages import MAX_PAYLOAD, decode


class FakeBus:
    """Keeps what is published.

    Attributes:
        local, cloud: (topic, payload) of all that was taken, in order.
        deaf: topics on which publishing fails.
        tries: how often something was published, in vain included.
        on_publish: called with the topic at each try, first.
        waiting: what came in and has not had its turn.
        renewals: why what cannot be heard from was to be renewed.
    """

    def __init__(self) -> None:
        self.local: list[tuple[str, bytes]] = []
        self.cloud: list[tuple[str, bytes]] = []
        self.deaf: set[str] = set()
        self.tries = 0
        self.on_publish: Callable[[str], None] = lambda topic: None
        self.renewals: list[str] = []
        self.waiting: list[Received] = []

    def publish(self, topic: str, payload: bytes) -> bool:
        return self._keep(self.local, topic, payload)

    def publish_cloud(self, topic: str, payload: bytes) -> bool:
        return self._keep(self.cloud, topic, payload)

    def renew_unheard(self, why: str) -> None:
        self.renewals.append(why)

    def take_waiting(self, topic: str) -> Received | None:
        found = next((item for item in self.waiting if item.topic == topic), None)
        if found is not None:
            self.waiting.remove(found)
        return found

    def _keep(self, where: list[tuple[str, bytes]], topic: str, payload: bytes) -> bool:
        self.tries += 1
        self.on_publish(topic)
        if topic in self.deaf or len(payload) > MAX_PAYLOAD:
            return False
        where.append((topic, payload))
        return True

    def messages(self, topic: str) -> list[Any]:
        """What was published on a local topic."""
        return [decode(payload) for at, payload in self.local if at == topic]

    def take(self, topic: str) -> list[Any]:
        """As `messages`, and forget them."""
        taken = self.messages(topic)
        self.local = [(at, payload) for at, payload in self.local if at != topic]
        return taken
