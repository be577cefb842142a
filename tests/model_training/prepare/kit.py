"""Small inputs for the preparation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from model_training.prepare.plan import Plan
from model_training.prepare.rows import Rows

from edgeml.config.schema import read
from edgeml.messages import SensorBatch
from edgeml.timestamps import SECOND
from sensor_ingestion.capture.recorder import CaptureRecorder
from sensor_ingestion.capture.uploader import Uploader
from sensor_ingestion.options import CaptureOptions
from tests.fake_bus import FakeBus

T0 = 1_583_748_873 * SECOND  # 2020-03-09T10:14:33Z


def plan(**options: Any) -> Plan:
    return read(Plan, {"name": "rig", **options})


def rows(seconds: list[float], values: list[list[float]], quality: list[list[int]] | None = None, asset: str = "a") -> Rows:
    """Rows of the channels `flow`, `current`, … at seconds after `T0`."""
    array = np.array(values, np.float32).reshape(len(seconds), -1)
    channels = ("flow", "current", "voltage")[: array.shape[1]]
    flags = np.zeros(array.shape, np.uint8) if quality is None else np.array(quality, np.uint8)
    return Rows(asset, channels, np.array([T0 + round(s * SECOND) for s in seconds], np.int64), array, flags, {})


def csv(folder: Path, name: str, lines: list[str], heading: str = "time,flow,current") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([heading, *lines]) + "\n")
    return path


def steady(n: int, start: int = 0) -> list[str]:
    return [f"2020-03-09T10:{14 + s // 60:02d}:{s % 60:02d}Z,{120 + s % 3},{2 + s % 2}" for s in range(start, start + n)]


def capture(folder: Path, asset: str, n: int, stream: str = "s", start: int = 0) -> np.ndarray:
    """Capture n rows of `flow` and `current` with the component's code and return the values."""
    values = np.random.default_rng(start).normal(10, 1, (n, 2)).astype(np.float32)
    recorder = CaptureRecorder(read(CaptureOptions, {"mode": "all", "folder": str(folder), "segment_rows": 50}), folder, 1, lambda: 0.0)
    for seq, begin in enumerate(range(0, n, 10)):
        part = values[begin : begin + 10]
        times = T0 + (start + begin + np.arange(len(part))) * SECOND
        recorder.take(SensorBatch.of(asset, stream, seq, ("flow", "current"), ("l/min", "A"), times, part))
    recorder.close()
    return values


def uploaded(folder: Path) -> list[bytes]:
    """Messages that the component sends for the captured files in a folder."""
    options, bus = read(CaptureOptions, {"mode": "all", "folder": str(folder), "upload": True, "upload_rate": 100}), FakeBus()
    now = [0.0]
    upload = Uploader(options, folder, "t", CaptureRecorder(options, folder, 1, lambda: now[0]), bus, lambda: now[0])
    while upload.waiting:
        now[0] += 1
        upload.tick(now[0])
    return [payload for _, payload in bus.cloud]
