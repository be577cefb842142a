"""PublishToIoTCore: `topicName`, `qos`, `payload` (base64)."""

from __future__ import annotations

import base64
import binascii

from gglocal.iot_core import Offline
from gglocal.ipc.errors import IpcError
from gglocal.ipc.operations.qos import qos_of
from gglocal.ipc.request import Request


def handle(request: Request) -> None:
    topic, qos = request.argument("topicName", str), qos_of(request)
    try:
        payload = base64.b64decode(request.optional("payload", str) or "", validate=True)
    except binascii.Error:
        raise request.invalid("payload is not valid base64") from None
    request.authorize(topic)
    limit = request.core.profile.max_iot_payload
    if len(payload) > limit:
        raise IpcError("ServiceError", f"the payload has {len(payload)} bytes, IoT Core accepts {limit}")
    if not topic or any(char in topic for char in "+#\0"):
        raise IpcError("ServiceError", f"{topic!r} is not a topic; it must not contain wildcards")
    try:
        request.core.publish_to_iot_core(topic, payload, qos, request.component)
    except Offline as error:
        raise IpcError("ServiceError", str(error)) from None
