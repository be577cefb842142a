"""SubscribeToIoTCore: `topicName` (an MQTT filter), `qos`."""

from __future__ import annotations

import base64
import json

from gglocal.iot_core import Offline
from gglocal.ipc.errors import IpcError
from gglocal.ipc.operations.qos import qos_of
from gglocal.ipc.request import Request
from gglocal.topic_filter import is_valid


async def handle(request: Request) -> None:
    topic_filter, qos = request.argument("topicName", str), qos_of(request)
    request.authorize(topic_filter)
    if not is_valid(topic_filter) or len(topic_filter.encode()) > 256:
        raise IpcError("ServiceError", f"{topic_filter!r} is not a valid MQTT topic filter of at most 256 bytes")
    request.check_subscription_limit()

    def receive(topic: str, payload: bytes) -> None:
        request.core.record_from_iot_core(topic, payload, request.component)
        message = {"topicName": topic, "payload": base64.b64encode(payload).decode()}
        request.send_event("IoTCoreMessage", json.dumps({"message": message}).encode())

    try:
        request.keep_open(await request.core.iot.subscribe(topic_filter, qos, receive))
    except Offline as error:
        raise IpcError("ServiceError", str(error)) from None
