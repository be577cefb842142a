"""Inference on the shipped bundle, with the simulated pump's rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.config.schema import read
from edgeml.messages import Message, ResultBlock, SensorBatch, topics
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import SECOND
from inference.options import InferenceOptions
from inference.service import Inference
from sensor_ingestion.sources.pump_physics import CHANNELS, Fault, PumpSkid
from tests.edgeml.keys import PINNED
from tests.fake_bus import FakeBus

SHIPPED = Path(__file__).parents[3] / "model_training" / "bundles"
NAMES = tuple(channel.name for channel in CHANNELS)
UNITS = tuple(channel.unit for channel in CHANNELS)
T0 = 1_583_748_000 * SECOND


class Bench:
    """One Inference; `restart` is a relaunch by the nucleus."""

    def __init__(self, work: Path, artifacts: Path = SHIPPED, wall_ns: Callable[[], int] = time.time_ns, **configuration: Any) -> None:
        self.bus = FakeBus()
        self.now = 0.0
        self._context = ComponentContext(
            bus=self.bus,
            component="com.edgeml.Inference",
            thing="t",
            work=work,
            artifacts=artifacts,
            monotonic=lambda: self.now,
            wall_ns=wall_ns,
        )
        self._options = read(InferenceOptions, {"signature": PINNED, **configuration})
        self.restart()

    def restart(self) -> None:
        self.service = Inference(self._context, self._options)
        self.service.start()

    def feed(self, *messages: Message, topic: str = topics.SENSORS) -> list[ResultBlock]:
        for message in messages:
            self.service.on_message(topic, message)
        return [message for message in self.bus.take(topics.RESULTS) if isinstance(message, ResultBlock)]


def batches(rows: np.ndarray, size: int = 50, asset: str = "pump-1", stream: str = "s", first: int = 0) -> list[SensorBatch]:
    """Rows (n, 8), a second apart, as batches; `first` is the number of the first row."""
    made = []
    for number, start in enumerate(range(0, len(rows), size)):
        part = rows[start : start + size]
        times = T0 + (first + start + np.arange(len(part), dtype=np.int64)) * SECOND
        made.append(SensorBatch.of(asset, stream, first // size + number, NAMES, UNITS, times, part))
    return made


def pump(n: int, fault_at: float | None = None, seed: int = 1) -> np.ndarray:
    """n rows of the simulated pump."""
    faults = [Fault("valve", start_s=fault_at)] if fault_at is not None else []
    return PumpSkid(seed, faults=faults).step(n).values


def column(blocks: list[ResultBlock], name: str) -> np.ndarray:
    return np.concatenate([getattr(block.arrays(), name) for block in blocks])


def reasons(blocks: list[ResultBlock]) -> list[str]:
    """For each result its reason, or an empty text."""
    return [block.reasons[code - 1] if code else "" for block in blocks for code in block.arrays().reason]
