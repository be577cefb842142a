"""The link between the nucleus and IoT Core; faults disconnect it or make it lose messages."""

from __future__ import annotations

from collections.abc import Callable

from gglocal.iot_core.base import IoTCore, Offline, OnMessage


class CloudLink(IoTCore):
    """Wraps a backend with a link that faults can interrupt.

    Attributes:
        cuts: number of active faults that disconnect the link. Messages from the cloud are lost meanwhile; subscriptions remain.
        losses: number of active faults that make the link acknowledge and lose published messages.
    """

    def __init__(self, backend: IoTCore) -> None:
        super().__init__()
        self._backend = backend
        self.cuts = self.losses = 0

    async def start(self) -> None:
        await self._backend.start()

    async def close(self) -> None:
        await self._backend.close()

    @property
    def connected(self) -> bool:
        return not self.cuts and self._backend.connected

    def publish(self, topic: str, payload: bytes, qos: int, sender: str | None) -> None:
        self._check_connected()
        if self.losses and sender is not None:
            return
        self._backend.publish(topic, payload, qos, sender)

    async def subscribe(self, topic_filter: str, qos: int, receive: OnMessage) -> Callable[[], None]:
        self._check_connected()
        return await self._backend.subscribe(topic_filter, qos, lambda topic, payload: None if self.cuts else receive(topic, payload))

    def _check_connected(self) -> None:
        if self.cuts:
            raise Offline("an injected fault has disconnected IoT Core")

    def _unsubscribe(self, topic_filter: str) -> None:
        return
