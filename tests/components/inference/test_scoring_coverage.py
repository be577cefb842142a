"""Unscored assets are in `Health` with their reason, and it fits: README 23."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeml.ipc.receive_queue import ReceiveQueue
from edgeml.messages import MAX_PAYLOAD, MISSING, Status, topics
from edgeml.runtime.service import Metrics, UnscoredRows
from edgeml.runtime.status_reporter import StatusReporter
from edgeml.timestamps import SECOND
from inference.scoring_coverage import ScoringCoverage
from tests.components.inference.kit import T0, Bench, batches, pump
from tests.fake_bus import FakeBus

DEAD = "sensor: flow missing"


def counted(*reasons: str, tally: ScoringCoverage | None = None, start: float = 0.0) -> ScoringCoverage:
    """One row a second, an empty text for a decision."""
    tally = tally or ScoringCoverage()
    for second, reason in enumerate(reasons):
        tally.take(np.array([1 if reason else 0], np.uint8), (reason,) if reason else (), start + second)
    return tally


def test_scored_asset_is_not_reported():
    assert counted(*[""] * 60).unscored() is None


def test_dead_channel_is_reported_with_reason_and_time():
    tally = counted(*[""] * 100, *[DEAD] * 60)
    found = tally.unscored()
    assert found is not None and found.reason == DEAD and found.share == 1.0
    assert 100 <= found.since <= 120 and found.rows == 160 - found.since


def test_report_ends_when_rows_are_scored_again():
    tally = counted(*[DEAD] * 60, *[""] * 30)
    assert tally.unscored() is None


@pytest.mark.parametrize("reason", ["stopped", "stopped: settling after the start", "learning 3/400", "window filling"])
def test_expected_reasons_are_not_reported(reason: str):
    assert counted(*[reason] * 200).unscored() is None
    assert counted(*[DEAD] * 60, *[reason] * 200).unscored() is None


def test_most_frequent_reason_is_reported():
    found = counted(*["gap: window filling", DEAD, DEAD] * 20).unscored()
    assert found is not None and found.reason == DEAD


def test_intermittent_channel_counts_by_its_share():
    found = counted(*[DEAD, DEAD, DEAD, ""] * 20).unscored()
    assert found is not None and found.share == pytest.approx(0.75, abs=0.1)
    assert counted(*[DEAD, "", "", ""] * 20).unscored() is None


def test_rare_rows_count_too():
    tally = ScoringCoverage()
    for minute in range(30):
        tally.take(np.ones(1, np.uint8), ("interval: one row per 60 s, expected 1 s for model x",), minute * 60.0)
    found = tally.unscored()
    assert found is not None and (found.since, found.rows) == (0.0, 30)


class Wire(FakeBus):
    """As much of the bus as a reporter needs."""

    def __init__(self) -> None:
        super().__init__()
        self.queue, self.verifier = ReceiveQueue(), None

    def message_ages(self) -> dict[str, float | None]:
        return {}


def said(unjudged: dict[str, UnscoredRows], faults: tuple[str, ...] = ()):
    wire = Wire()
    StatusReporter("com.edgeml.Inference", wire, lambda: 1000.0, lambda: T0).report(  # type: ignore[arg-type]
        Status(component="com.edgeml.Inference", state="running", faults=faults),
        Metrics(unscored=unjudged),
    )
    (health,) = wire.messages(topics.HEALTH)
    (payload,) = [payload for topic, payload in wire.local if topic == topics.HEALTH]
    return health, len(payload)


def test_health_has_no_entry_if_all_rows_are_scored():
    assert said({})[0].unscored is msgspec.UNSET


def test_worst_assets_are_reported_and_the_rest_counted():
    many = {f"泵站-{number:03d}-" + "é" * 20: UnscoredRows("sensor: " + "ü" * 200, 990.0 - number, 10, 1.0) for number in range(400)}
    health, size = said(many, ("x" * 300,) * 10)
    assert size <= MAX_PAYLOAD and len(health.unscored) > 10
    assert health.unscored_more == 400 - len(health.unscored)
    assert list(health.unscored) == list(reversed(many))[: len(health.unscored)]
    first = next(iter(health.unscored.values()))
    assert (first.for_s, first.rows, first.since) == (409.0, 10, "2020-03-09T09:53:11.000Z")
    assert len(first.reason.encode()) <= 100 and first.reason.startswith("sensor: ü")


def test_inference_reports_a_dead_channel_and_ignores_restored_rows(tmp_path):
    bench = Bench(tmp_path)
    rows = pump(800)
    bench.feed(*batches(rows[:500]))
    assert bench.service.metrics().unscored == {}
    for number, batch in enumerate(batches(rows[500:600], size=5, first=500)):
        values = batch.arrays()[1].copy()
        values[:, 7] = np.nan
        quality = np.zeros(values.shape, np.uint8)
        quality[:, 7] = MISSING
        bench.now += 5.0
        dead = msgspec.structs.replace(batch, seq=10 + number, values=values.tobytes(), quality=quality.tobytes())
        bench.feed(dead)
    found = bench.service.metrics().unscored["pump-1"]
    assert found.reason == DEAD and bench.now - found.since >= 80
    bench.restart()
    bench.feed(msgspec.structs.replace(batches(rows[600:605], size=5)[0], seq=30, times=(T0 + np.arange(600, 605) * SECOND).tobytes()))
    assert "pump-1" not in bench.service.metrics().unscored or bench.service.metrics().unscored["pump-1"].rows <= 5
