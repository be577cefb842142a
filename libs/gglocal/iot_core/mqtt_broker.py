"""An MQTT broker that stands in for IoT Core."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from gglocal.iot_core.base import IoTCore, Offline, OnMessage

log = logging.getLogger("gglocal.iot_core")

SUBACK_TIMEOUT = 10.0


class MqttBroker(IoTCore):
    """Connects to `host:port`, and reconnects with increasing delays (1 to 30 s) when the connection is lost.

    There is no spooler: publishing while disconnected is an error. Subscriptions are restored after a reconnect.
    """

    def __init__(self, host: str, port: int, *, client_id: str, username: str | None = None, password: str | None = None) -> None:
        super().__init__()
        self._address = (host, port)
        self._where = f"the MQTT broker at {host}:{port}"
        self._qos: dict[str, int] = {}
        self._subacks: dict[int, asyncio.Future[bool]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outage_logged = False
        self._connected = asyncio.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        self._client.reconnect_delay_set(1, 30)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = lambda client, data, flags, reason, props: self._call(self._on_connect, reason)
        self._client.on_connect_fail = lambda client, data: self._call(self._on_disconnect, "connection failed")
        self._client.on_disconnect = lambda client, data, flags, reason, props: self._call(self._on_disconnect, str(reason))
        self._client.on_message = lambda client, data, message: self._call(self._deliver, message.topic, message.payload)
        self._client.on_subscribe = lambda client, data, mid, reasons, props: self._call(self._on_suback, mid, reasons)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()

    async def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        self._client.disconnect()
        await loop.run_in_executor(None, self._client.loop_stop)
        for waiting in self._subacks.values():
            waiting.cancel()

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Return once the broker has accepted the connection."""
        await self._connected.wait()

    async def resubscribed(self) -> None:
        """Return once the broker has acknowledged every subscription sent to it."""
        await asyncio.gather(*self._subacks.values())

    def publish(self, topic: str, payload: bytes, qos: int, sender: str | None) -> None:
        if not self.connected or self._client.publish(topic, payload, qos).rc != mqtt.MQTT_ERR_SUCCESS:
            raise Offline(f"{self._where} is not connected; message to {topic} not sent")

    async def subscribe(self, topic_filter: str, qos: int, receive: OnMessage) -> Callable[[], None]:
        if not self.connected:
            raise Offline(f"{self._where} is not connected; retry the subscription to {topic_filter} later")
        end = await super().subscribe(topic_filter, qos, receive)
        self._qos[topic_filter] = max(qos, self._qos.get(topic_filter, 0))
        try:
            if not await asyncio.wait_for(self._send_subscribe(topic_filter), SUBACK_TIMEOUT):
                raise Offline(f"{self._where} rejected the subscription to {topic_filter}")
        except BaseException as error:
            end()
            if isinstance(error, asyncio.TimeoutError):
                raise Offline(f"{self._where} did not acknowledge the subscription to {topic_filter}") from None
            raise
        return end

    def _send_subscribe(self, topic_filter: str) -> asyncio.Future[bool]:
        assert self._loop is not None
        acknowledged: asyncio.Future[bool] = self._loop.create_future()
        code, mid = self._client.subscribe(topic_filter, self._qos[topic_filter])
        if code != mqtt.MQTT_ERR_SUCCESS or mid is None:
            raise Offline(f"{self._where} is not connected; retry the subscription to {topic_filter} later")
        self._subacks[mid] = acknowledged
        return acknowledged

    def _unsubscribe(self, topic_filter: str) -> None:
        self._qos.pop(topic_filter, None)
        if self.connected:
            self._client.unsubscribe(topic_filter)

    def _on_connect(self, reason: ReasonCode) -> None:
        if reason.is_failure:
            self._on_disconnect(str(reason))
            return
        self._connected.set()
        self._outage_logged = False
        log.info("connected to %s", self._where)
        for topic_filter in self._qos:
            self._send_subscribe(topic_filter)

    def _on_disconnect(self, reason: str) -> None:
        self._connected.clear()
        for waiting in self._subacks.values():
            if not waiting.done():
                waiting.set_result(False)
        self._subacks.clear()
        log.log(logging.DEBUG if self._outage_logged else logging.WARNING, "%s disconnected (%s); reconnecting", self._where, reason)
        self._outage_logged = True

    def _on_suback(self, mid: int, reasons: list[ReasonCode]) -> None:
        waiting = self._subacks.pop(mid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(not any(reason.is_failure for reason in reasons))

    def _call(self, callback: Callable[..., None], *args: object) -> None:
        """Schedule a callback of the client's thread on the event loop; ignored after `close`."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(callback, *args)
