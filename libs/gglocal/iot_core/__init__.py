"""Backends that stand in for IoT Core."""

from __future__ import annotations

from gglocal.iot_core.base import IoTCore, Offline, OnMessage
from gglocal.iot_core.factory import open_iot_core

__all__ = ["IoTCore", "Offline", "OnMessage", "open_iot_core"]
