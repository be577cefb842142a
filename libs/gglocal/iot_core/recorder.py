"""The built-in backend: records published messages, and delivers them to the nucleus's own subscribers."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

from gglocal.iot_core.base import IoTCore
from gglocal.payload_text import text_of


class Recorder(IoTCore):
    """Appends each message to a file, as one JSON object per line.

    A line has `at` (seconds since the epoch), `topic`, `qos`, `sender` (component or null), and either `text`, a text payload,
    or `payload`, the base64 of any other payload (see `gglocal.payload_text`).
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._path, self._clock = path, clock

    async def start(self) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        self._subscribers.clear()

    def publish(self, topic: str, payload: bytes, qos: int, sender: str | None) -> None:
        if self._path is not None:
            text = text_of(payload)
            content = {"payload": base64.b64encode(payload).decode()} if text is None else {"text": text}
            line = {"at": self._clock(), "topic": topic, "qos": qos, "sender": sender, **content}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        asyncio.get_running_loop().call_soon(self._deliver, topic, payload)

    def _unsubscribe(self, topic_filter: str) -> None:
        return
