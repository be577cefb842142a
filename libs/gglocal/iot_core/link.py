"""The link between the nucleus and IoT Core, which can be cut, or take what it then loses."""

from __future__ import annotations

from collections.abc import Callable

from gglocal.iot_core.base import IoTCore, Offline, OnMessage


class CloudLink(IoTCore):
    """Any back-end, behind a link that is up until a fault takes it down.

    Attributes:
        cuts: how many faults hold the link down. What the cloud sends meanwhile is lost, subscriptions outlive it.
        losses: how many faults let it take messages and hand none on.
        lost: messages that were taken and lost.
    """

    def __init__(self, behind: IoTCore) -> None:
        super().__init__()
        self._behind = behind
        self.cuts = self.losses = self.lost = 0

    async def start(self) -> None:
        await self._behind.start()

    async def close(self) -> None:
        await self._behind.close()

    @property
    def connected(self) -> bool:
        return not self.cuts and self._behind.connected

    def publish(self, topic: str, payload: bytes, qos: int, sender: str | None) -> None:
        self._check()
        if self.losses and sender is not None:
            self.lost += 1
            return
        self._behind.publish(topic, payload, qos, sender)

    async def subscribe(self, topic_filter: str, qos: int, receive: OnMessage) -> Callable[[], None]:
        self._check()
        return await self._behind.subscribe(topic_filter, qos, lambda topic, payload: None if self.cuts else receive(topic, payload))

    def _check(self) -> None:
        if self.cuts:
            raise Offline("the link to IoT Core is cut by a fault")

    def _forget(self, topic_filter: str) -> None:
        return
