"""IoT Core as the nucleus sees it: a table of back-ends."""

from __future__ import annotations

from gglocal.iotcore.base import IoTCore, Offline, OnMessage
from gglocal.iotcore.open import BACKENDS, open_iot_core

__all__ = ["BACKENDS", "IoTCore", "Offline", "OnMessage", "open_iot_core"]
