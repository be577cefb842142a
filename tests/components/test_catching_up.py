"""A killed consumer catches up without keeping new rows waiting: many assets, a slow Inference, and results as without the kill."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from edgeml.config.schema import read
from edgeml.messages import ResultBlock, SensorBatch, decode, topics
from edgeml.runtime.service import ComponentContext, Service
from edgeml.timestamps import SECOND
from inference.options import InferenceOptions
from inference.service import Inference
from sensor_ingestion.options import SensorIngestionOptions as IngestionOptions
from sensor_ingestion.service import SensorIngestion
from tests.components.inference.kit import SHIPPED
from tests.edgeml.keys import PINNED
from tests.fake_bus import FakeBus

pytestmark = pytest.mark.slow("runs components for hours of event time")

log = logging.getLogger(__name__)

T0 = 1_583_748_000
ASSETS = 7
STEP_S = 0.1
"""Both services work in turns of so many seconds."""
SLOW, QUICK = 3, 1000
"""Messages that Inference takes in a turn: little more than arrive, or all of them."""


class Plant:
    """SensorIngestion with simulated machines at true speed, and Inference behind a queue that it empties slowly."""

    def __init__(self, work: Path, pace: int = QUICK) -> None:
        self.work, self.pace, self.now = work, pace, 1000.0
        self.wires = {name: FakeBus() for name in ("SensorIngestion", "Inference")}
        self.inbox: deque[tuple[str, bytes]] = deque()
        self.verdicts: dict[tuple[str, int], float | str] = {}
        self.lags: dict[float, list[float]] = {}  # by event time, s: how old each row was when its verdict came
        self.replayed = 0
        self.ingestion: Service = SensorIngestion(
            self._context("SensorIngestion"),
            read(
                IngestionOptions,
                {
                    "assets": {
                        f"pump-{number}": {"source": "simulator", "options": {"seed": number + 1}, "batch_rows": 1}
                        for number in range(ASSETS)
                    }
                },
            ),
        )
        self.inference: Service | None = None
        self.launch()

    def _context(self, name: str) -> ComponentContext:
        place = self.work / name
        place.mkdir(parents=True, exist_ok=True)
        return ComponentContext(
            bus=self.wires[name],
            component=f"com.edgeml.{name}",
            thing="t",
            work=place,
            artifacts=SHIPPED,
            monotonic=lambda: self.now,
            wall_ns=lambda: round((T0 + self.now - 1000.0) * SECOND),
        )

    def launch(self) -> None:
        self.inference = Inference(self._context("Inference"), read(InferenceOptions, {"signature": PINNED}))
        self.inference.start()

    def kill(self) -> None:
        self.inference = None
        self.inbox.clear()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.ingestion.tick(self.now)
            if self.inference is not None:
                self.inference.tick(self.now)
            self._carry()
            for _ in range(self.pace):
                if self.inbox and self.inference is not None:
                    topic, payload = self.inbox.popleft()
                    self.inference.on_message(topic, decode(payload))
                    self._carry()

    def _carry(self) -> None:
        """Deliver the messages of each to the other."""
        wire = self.wires["SensorIngestion"]
        if self.inference is not None:
            self.inbox.extend(wire.local)
        wire.local.clear()
        wire = self.wires["Inference"]
        for topic, payload in wire.local:
            message = decode(payload)
            if topic == topics.REPLAY:
                before = len(self.wires["SensorIngestion"].local)
                self.ingestion.on_message(topic, message)
                self.replayed += sum(isinstance(decode(sent), SensorBatch) for _, sent in self.wires["SensorIngestion"].local[before:])
            elif isinstance(message, ResultBlock):
                columns = message.arrays()
                for at, confidence, code in zip(columns.times.tolist(), columns.confidence.tolist(), columns.reason, strict=True):
                    known = (message.asset, at)
                    if known not in self.verdicts:
                        self.lags.setdefault(at / SECOND, []).append(T0 + self.now - 1000.0 - at / SECOND)
                    self.verdicts[known] = message.reasons[code - 1] if code else confidence
        wire.local.clear()
        if self.inference is not None:
            self.inbox.extend(self.wires["SensorIngestion"].local)
            self.wires["SensorIngestion"].local.clear()

    def close(self) -> None:
        for service in (self.ingestion, self.inference):
            if service is not None:
                service.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], float | str]:
    plant = Plant(tmp_path_factory.mktemp("undisturbed"))
    plant.run(520)
    plant.close()
    return plant.verdicts


def test_new_rows_do_not_wait_for_a_backlog_and_none_is_lost(tmp_path: Path, undisturbed: dict[tuple[str, int], float | str]) -> None:
    plant = Plant(tmp_path)
    plant.run(450)
    plant.kill()
    plant.run(10)
    plant.lags.clear()
    plant.replayed = 0
    plant.pace = SLOW
    plant.launch()
    plant.run(60)
    # Rows during its absence, and repetitions while it caught up; not the 450 rows before.
    assert ASSETS * 10 <= plant.replayed <= ASSETS * 10 * 3
    assert len(plant.inbox) < 2 * ASSETS + 20
    new = [lag for at, lags in plant.lags.items() if at >= T0 + 460 for lag in lags]
    old = [lag for at, lags in plant.lags.items() if at < T0 + 460 for lag in lags]
    assert len(old) >= ASSETS * 10 and max(old) < 10 + 10, "missed rows are scored soon"
    assert max(new) < 10 and np.percentile(new, 80) < 1.0, "and new rows do not wait for it"
    last = (T0 + 515) * SECOND
    got = {key: verdict for key, verdict in plant.verdicts.items() if key[1] < last}
    assert got == {key: verdict for key, verdict in undisturbed.items() if key[1] < last}
    assert sum(isinstance(verdict, float) for verdict in got.values()) > ASSETS * 50
    late = np.percentile(new, [50, 80, 100])
    log.info("%d batches again; new rows after %s s at 50, 80, 100 %%, missed ones after %.1f s", plant.replayed, late, max(old))
    plant.close()


def test_consumer_without_state_gets_all_rows_and_new_ones_promptly(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.run(120)
    plant.kill()
    for path in (tmp_path / "Inference" / "rows").iterdir():
        path.unlink()
    plant.verdicts.clear()
    plant.launch()
    plant.run(5)
    assert len(plant.verdicts) >= ASSETS * 120
    assert len(plant.inbox) <= 2 * ASSETS + 20
    plant.close()
