"""Wrong clocks through all three services: a wrong time costs its row, a step of the clock costs seconds, and is reported.

SensorIngestion's README 40.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alert_dispatcher.options import AlertDispatcherOptions as DispatcherOptions
from alert_dispatcher.service import AlertDispatcher
from edgeml.config.schema import read
from edgeml.messages import AHEAD, Alert, ReplayRequest, ResultBlock, SensorBatch, decode, encode, topics
from edgeml.runtime.service import ComponentContext, Service
from edgeml.timestamps import SECOND
from inference.options import InferenceOptions
from inference.service import Inference
from sensor_ingestion.options import SensorIngestionOptions as IngestionOptions
from sensor_ingestion.service import SensorIngestion
from tests.components.inference.kit import SHIPPED, pump
from tests.edgeml.keys import PINNED
from tests.fake_bus import FakeBus

pytestmark = pytest.mark.slow("runs three components for hours of event time")

T0 = 1_583_748_000
YEARS = 10**8
HOUR = 3600


class Pipeline:
    """The three services around one bus, and a machine whose rows a FIFO brings; `now` is the monotonic clock, `wall` the other one."""

    def __init__(self, work: Path) -> None:
        self.work, self.bus = work, FakeBus()
        self.now, self.wall = 1000.0, float(T0)
        self.results: dict[int, float | str] = {}
        self.alerts: list[Alert] = []
        self.services: dict[str, Service] = {}
        self._passed = 0
        for name in ("SensorIngestion", "Inference", "AlertDispatcher"):
            self.launch(name)
        self._fifo = os.open(work / "in", os.O_WRONLY)

    def launch(self, name: str) -> None:
        """A new process of that component, the one before killed."""
        place = self.work / name
        place.mkdir(exist_ok=True)
        context = ComponentContext(
            bus=self.bus,
            component=f"com.edgeml.{name}",
            thing="t",
            work=place,
            artifacts=SHIPPED,
            monotonic=lambda: self.now,
            wall_ns=lambda: round(self.wall * SECOND),
        )
        if name == "SensorIngestion":
            options: Any = {"assets": {"pump-1": {"source": "jsonl", "options": {"fifo": str(self.work / "in")}}}}
            self.services[name] = SensorIngestion(context, read(IngestionOptions, options))
        elif name == "Inference":
            self.services[name] = Inference(context, read(InferenceOptions, {"signature": PINNED}))
        else:
            self.services[name] = AlertDispatcher(context, read(DispatcherOptions, {"outbox": {"reserve_alerts": 0}}))
        self.services[name].start()
        self.deliver()

    def row(self, values: np.ndarray, at: float, passed: float = 1.0) -> None:
        """The machine writes a row dated `at`, `passed` seconds of both clocks after the last."""
        self.now += passed
        self.wall += passed
        names = ("vibration_1", "vibration_2", "current", "pressure", "motor_temperature", "fluid_temperature", "voltage", "flow")
        cells = ", ".join(f'"{name}": {float(value)!r}' for name, value in zip(names, values, strict=True))
        os.write(self._fifo, f'{{"time": {at!r}, {cells}}}\n'.encode())
        for service in self.services.values():
            service.tick(self.now)
        self.deliver()

    def rows(self, values: np.ndarray, first: float) -> None:
        """Rows a second apart, the first dated `first`."""
        for number, row in enumerate(values):
            self.row(row, first + number)

    def deliver(self) -> None:
        while self._passed < len(self.bus.local):
            topic, payload = self.bus.local[self._passed]
            self._passed += 1
            message = decode(payload)
            if isinstance(message, ResultBlock):
                columns = message.arrays()
                for at, confidence, code in zip(columns.times, columns.confidence, columns.reason, strict=True):
                    self.results[int(at)] = message.reasons[code - 1] if code else float(confidence)
            elif isinstance(message, Alert):
                self.alerts.append(message)
            for service in self.services.values():
                if topic in service.topics:
                    service.on_message(topic, message)

    def decided(self, first: float, rows: int) -> list[bool]:
        """Whether each of these rows has a verdict."""
        return [isinstance(self.results.get(round((first + number) * SECOND)), float) for number in range(rows)]

    def faults(self) -> str:
        return "; ".join(fault for service in self.services.values() for fault in service.status().faults)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    line = Pipeline(tmp_path)
    line.rows(pump(600)[:500], T0)
    assert all(line.decided(T0 + 480, 20))
    yield line
    for service in line.services.values():
        service.close()


@pytest.mark.parametrize("times", [[YEARS], [YEARS, 2 * YEARS], [-YEARS]])
def test_rows_with_a_wrong_time_affect_no_other_rows(pipeline: Pipeline, times: list[float], tmp_path: Path, caplog: Any) -> None:
    values = pump(700)
    for wrong in times:
        pipeline.row(values[500], T0 + wrong, passed=0.0)
    pipeline.rows(values[500:600], T0 + 500)
    assert all(pipeline.decided(T0 + 500, 100))
    assert not any(pipeline.decided(T0 + wrong, 1)[0] for wrong in times)
    if times[0] > 0:
        flagged = [message for message in pipeline.bus.messages(topics.SENSORS) if isinstance(message, SensorBatch) and message.quality]
        assert all((batch.arrays()[2] == AHEAD).all(axis=1).any() for batch in flagged) and flagged
        assert "ahead of this device's clock" in pipeline.faults()
        assert sum("ahead of this device's clock" in record.getMessage() for record in caplog.records) == 1
    # Each continues after a kill as well.
    for name in ("Inference", "AlertDispatcher"):
        pipeline.launch(name)
        start = 600 if name == "Inference" else 620
        pipeline.rows(values[start : start + 20], T0 + start)
        assert all(pipeline.decided(T0 + start, 20)), name


@pytest.mark.parametrize("step", [HOUR, 120, 30 * 86_400])
def test_clock_set_back_costs_seconds_and_alarms_are_raised_again(pipeline: Pipeline, step: float) -> None:
    values = pump(1300, fault_at=750)
    pipeline.wall -= step
    pipeline.rows(values[500:540], T0 + 500 - step)
    assert "went back from" in pipeline.faults() and "ahead" not in pipeline.faults()
    pipeline.rows(values[540:1300], T0 + 540 - step)
    decided = pipeline.decided(T0 + 500 - step, 800)
    assert decided.index(True) <= 11 + 60, "the step must last, and a window must fill"
    assert all(decided[decided.index(True) :])
    assert [alert.state for alert in pipeline.alerts][:2] == ["pending", "active"]


def test_clock_set_back_while_inference_is_down_is_survived(pipeline: Pipeline) -> None:
    values = pump(1300, fault_at=750)
    gone = pipeline.services.pop("Inference")
    pipeline.rows(values[500:540], T0 + 500 - HOUR)
    gone.close()
    pipeline.launch("Inference")
    pipeline.rows(values[540:1300], T0 + 540 - HOUR)
    assert all(pipeline.decided(T0 + 640 - HOUR, 600))
    assert len([at for at in pipeline.results if at < T0 * SECOND]) >= 800 - 5, "rows that were not scored meanwhile are"
    assert [alert.state for alert in pipeline.alerts][:2] == ["pending", "active"]


def test_clock_set_back_while_alert_dispatcher_is_down_is_survived(pipeline: Pipeline) -> None:
    values = pump(1300, fault_at=600)
    gone = pipeline.services.pop("AlertDispatcher")
    pipeline.rows(values[500:1100], T0 + 500 - HOUR)
    gone.close()
    pipeline.launch("AlertDispatcher")
    pipeline.rows(values[1100:1110], T0 + 1100 - HOUR)
    assert [alert.state for alert in pipeline.alerts][:2] == ["pending", "active"]


def test_clock_set_back_while_both_are_down_is_survived_by_replays(pipeline: Pipeline) -> None:
    values = pump(1300, fault_at=600)
    for name in ("Inference", "AlertDispatcher"):
        pipeline.services.pop(name).close()
    pipeline.rows(values[500:1000], T0 + 500 - HOUR)
    pipeline.launch("AlertDispatcher")
    pipeline.launch("Inference")
    pipeline.rows(values[1000:1020], T0 + 1000 - HOUR)
    assert [alert.state for alert in pipeline.alerts][:2] == ["pending", "active"]


def test_gateway_keeps_scoring_after_its_clock_is_set(pipeline: Pipeline) -> None:
    """The clock of a gateway without a battery jumps to the present; rows are dated by it."""
    values = pump(900)
    pipeline.wall += YEARS
    pipeline.rows(values[500:700], T0 + YEARS + 500)
    assert all(pipeline.decided(T0 + YEARS + 560, 140))
    assert "clock" not in pipeline.faults()


def test_source_with_a_clock_ahead_is_scored_and_reported(pipeline: Pipeline) -> None:
    values = pump(900)
    pipeline.rows(values[500:700], T0 + 500 + HOUR)
    assert all(pipeline.decided(T0 + 580 + HOUR, 120))
    assert "its rows are dated" in pipeline.faults()
    pipeline.rows(values[700:900], T0 + 700)  # and somebody sets it right
    assert all(pipeline.decided(T0 + 780, 120))


def test_replay_request_of_an_earlier_version_is_answered(pipeline: Pipeline) -> None:
    """By a version that knows no numbers."""
    sensors = len(pipeline.bus.messages(topics.SENSORS))
    pipeline.services["SensorIngestion"].on_message(
        topics.REPLAY, decode(encode(ReplayRequest(topic=topics.SENSORS, since=(T0 + 489) * SECOND)))
    )
    fresh = pipeline.bus.messages(topics.SENSORS)[sensors:]
    assert sum(len(batch.times) // 8 for batch in fresh if isinstance(batch, SensorBatch)) == 10


@pytest.mark.parametrize("first", [None, YEARS])
@pytest.mark.parametrize("relaunched", [("SensorIngestion",), ("SensorIngestion", "Inference"), ("Inference", "SensorIngestion")])
def test_relaunch_after_a_clock_was_set_back_keeps_scoring(pipeline: Pipeline, first: int | None, relaunched: tuple[str, ...]) -> None:
    values, back = pump(900), T0 - HOUR
    pipeline.rows(values[500:620], back)
    assert all(pipeline.decided(back + 100, 20))
    for name in relaunched:
        pipeline.launch(name)
    if first is not None:
        pipeline.row(values[620], T0 + first)
    pipeline.rows(values[620:740], back + 125)
    assert all(pipeline.decided(back + 125 + 80, 40))


def test_relaunched_source_that_cannot_rewind_replays_its_latest_epoch_only(pipeline: Pipeline) -> None:
    """Rows from before the clock was set back, in a new stream, would be taken for the latest ones."""
    pipeline.rows(pump(900)[500:620], T0 - HOUR)
    pipeline.launch("SensorIngestion")
    source: Any = pipeline.services["SensorIngestion"]
    batches = [decode(payload) for payload in source._assets["pump-1"].replay(ReplayRequest(topic=topics.SENSORS))]
    kept = [batch for batch in batches if isinstance(batch, SensorBatch)]
    assert kept and all(not batch.epoch for batch in kept)
    assert all(int(batch.arrays()[0].max()) < T0 * SECOND for batch in kept)


@pytest.mark.parametrize("relaunched", [("SensorIngestion",), ("SensorIngestion", "Inference"), ("SensorIngestion", "AlertDispatcher")])
def test_relaunched_source_that_cannot_rewind_has_nothing_scored_twice(pipeline: Pipeline, relaunched: tuple[str, ...]) -> None:
    """An alarm of minutes ago would be raised once more, under another id, about a machine that is well by now."""
    values = pump(900)
    for name in relaunched:
        pipeline.launch(name)
    before = len(pipeline.bus.local)
    pipeline.rows(values[500:560], T0 + 503)
    answered = [decode(payload) for topic, payload in pipeline.bus.local[before:] if topic == topics.RESULTS]
    times = [at for block in answered if isinstance(block, ResultBlock) for at in block.arrays().times.tolist()]
    assert min(times) >= (T0 + 500) * SECOND
    assert all(pipeline.decided(T0 + 503, 60))
    assert pipeline.alerts == []


@pytest.mark.parametrize("relaunched", [("SensorIngestion",), ("SensorIngestion", "Inference"), ("Inference", "SensorIngestion")])
def test_rows_are_scored_after_a_clock_was_set_back_between_relaunches(pipeline: Pipeline, relaunched: tuple[str, ...]) -> None:
    """Each stream counts its epochs from 0, so an earlier one may have the number of the latest."""
    values = pump(900)
    for step in (1, 2, 3):
        back = T0 - step * HOUR
        pipeline.rows(values[500:640], back)
        before = len(pipeline.bus.local)
        for name in relaunched:
            pipeline.launch(name)
        pipeline.rows(values[640:660], back + 140)
        sent = [decode(payload) for topic, payload in pipeline.bus.local[before:] if topic == topics.SENSORS]
        times = [at for batch in sent if isinstance(batch, SensorBatch) for at in batch.arrays()[0].tolist()]
        assert times and (back - 1) * SECOND < min(times) and max(times) < (back + HOUR) * SECOND
        assert all(pipeline.decided(back + 140, 20))
