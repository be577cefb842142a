"""Shared fixtures: clocks advanced by hand, the nucleus's end of a service's bus, and a small recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeml.config.schema import read
from edgeml.messages import Message, ResultBlock, SensorBatch, topics
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import SECOND
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.service import SensorIngestion
from sensor_ingestion.sources.base import Clocks, RowBlock, Source
from tests.fake_bus import FakeBus

T0 = 1_583_748_873 * SECOND  # 2020-03-09T10:14:33Z


class Clock:
    """Both clocks, moved by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall_ns(self) -> int:
        return T0 + round((self.now - 100.0) * SECOND)

    @property
    def pair(self) -> Clocks:
        return Clocks(self.monotonic, self.wall_ns)


class Wire(FakeBus):
    """The service's end of the bus."""

    def batches(self) -> list[SensorBatch]:
        """The sensor batches since the last call."""
        return [message for message in self.take(topics.SENSORS) if isinstance(message, SensorBatch)]


class Bench:
    """A service on its wire, with a clock and a work directory."""

    def __init__(self, work: Path, assets: dict[str, Any], clock: Clock | None = None, **options: Any) -> None:
        self.clock, self.wire = clock or Clock(), Wire()
        context = ComponentContext(
            bus=self.wire,
            component="com.edgeml.SensorIngestion",
            thing="t",
            work=work,
            artifacts=work,
            monotonic=self.clock.monotonic,
            wall_ns=self.clock.wall_ns,
        )
        self.service = SensorIngestion(context, read(SensorIngestionOptions, {"assets": assets, **options}))
        self.service.start()

    def tick(self) -> float:
        return self.service.tick(self.clock.now)

    def tell(self, topic: str, message: Message) -> None:
        self.service.on_message(topic, message)

    def answer(self, batch: SensorBatch) -> None:
        self.tell(topics.RESULTS, answer(batch))

    def run(self) -> list[SensorBatch]:
        """Tick and answer until nothing comes any more."""
        got: list[SensorBatch] = []
        while True:
            self.tick()
            new = self.wire.batches()
            if not new:
                return got
            got += new
            for batch in new:
                self.answer(batch)


def answer(batch: SensorBatch, complete: bool = True) -> ResultBlock:
    """Results for a batch, as empty as can be."""
    return ResultBlock(
        asset=batch.asset,
        stream="r",
        seq=batch.seq,
        model="m",
        model_version="1",
        digest="",
        answers_stream=batch.stream,
        answers_seq=batch.seq,
        complete=complete,
        channels=(),
        times=b"",
        starts=b"",
        score=b"",
        confidence=b"",
        reason=b"",
        reasons=(),
        deviations=b"",
        latency_us=b"",
    )


def rows(batches: list[SensorBatch]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All times, values and quality of some batches."""
    parts = [batch.arrays() for batch in batches]
    return tuple(np.concatenate([part[i] for part in parts]) for i in range(3))  # type: ignore[return-value]


def drain(source: Source, now: float = 0.0, most: int = 5) -> RowBlock:
    """Everything a source gives at speed 0."""
    blocks = []
    while not source.finished:
        block = source.read(now, most)
        if block is not None:
            blocks.append(block)
    return RowBlock(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


HEADER = "time,Flow,Amps"


def recording(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def steady(n: int, start: int = 0) -> list[str]:
    """n good rows, a second apart."""
    return [f"{T0 // SECOND + i},{120 + i % 3},{2.0 + 0.1 * (i % 5)}" for i in range(start, start + n)]


CSV = {"columns": {"flow": "Flow", "current": "Amps"}, "time_unit": "s", "speed": 0}
"""Options, but the path, that read `recording`."""
