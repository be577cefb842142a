"""Messages to IoT Core; its absence costs nothing locally."""

from __future__ import annotations

import json
import math

import pytest

from edgeml.messages import MAX_PAYLOAD, topics
from edgeml.timestamps import SECOND, to_iso
from tests.components.alert_dispatcher.kit import ALARM, T0, Bench, results

ALERTS, RESULTS = topics.cloud_alerts("gateway"), topics.cloud_results("gateway")


def sent(bench: Bench, topic: str) -> list[dict]:
    assert all(len(payload) <= MAX_PAYLOAD for _, payload in bench.bus.cloud)
    return [json.loads(payload) for at, payload in bench.bus.cloud if at == topic]


def reported(bench: Bench) -> list[dict]:
    return [result for message in sent(bench, RESULTS) for result in message["results"]]


def test_19_raised_alarms_go_to_the_operators(tmp_path):
    bench = Bench(tmp_path)
    bench.results(ALARM)
    assert [(a["type"], a["state"], a["asset"]) for a in sent(bench, ALERTS)] == [
        ("alert", "active", "pump-1"),
        ("alert", "cleared", "pump-1"),
    ]
    assert "flow 6.2σ below" in sent(bench, ALERTS)[0]["why"]


def test_19_alarms_that_were_not_raised_are_not_sent(tmp_path):
    bench = Bench(tmp_path)
    bench.results(ALARM[:8] + [0.0] * 20)
    assert [a.state for a in bench.alerts()] == ["pending", "cleared"] and sent(bench, ALERTS) == []


def test_20_with_0_every_result_is_reported_several_in_a_message(tmp_path):
    bench = Bench(tmp_path, report={"interval_s": 0})
    confidences = ([None, 0.25] * 100)[:150]
    for start in range(0, 150, 10):
        bench.results(confidences[start : start + 10], start)
    bench.wait(2)
    entries = reported(bench)
    assert [r["at"] for r in entries] == [to_iso(T0 + s * SECOND) for s in range(150)]
    assert 3 <= len(sent(bench, RESULTS)) <= 6
    assert entries[0] == {
        "at": to_iso(T0),
        "window_start": to_iso(T0 - 60 * SECOND),
        "verdict": "no decision",
        "score": None,
        "confidence": None,
        "reason": "learning",
        "alarm": None,
        "latency_us": [12.5, 12.5],
    }
    assert (entries[1]["verdict"], entries[1]["score"], entries[1]["confidence"], entries[1]["reason"]) == ("normal", 0.25, 0.25, None)
    head = {key: value for key, value in sent(bench, RESULTS)[0].items() if key not in ("results", "entry")}
    assert head == {
        "type": "report",
        "v": 1,
        "thing": "gateway",
        "asset": "pump-1",
        "model": "skab",
        "model_version": "1.2.0",
        "digest": "ab" * 32,
    }


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_20_confidence_that_is_not_finite_is_no_decision(tmp_path, value):
    bench = Bench(tmp_path, report={"interval_s": 0})
    bench.results([value] * 30)
    bench.wait(2)
    assert bench.alerts() == []
    assert {(r["verdict"], r["score"], r["confidence"]) for r in reported(bench)} == {("no decision", None, None)}


def test_20_explained_result_is_reported_with_its_text(tmp_path):
    bench = Bench(tmp_path, report={"interval_s": 0})
    bench.give(topics.RESULTS, results([0.2, 0.97], why=["", "flow is\nlow " + "x" * 1000]))
    bench.wait(2)
    quiet, alarmed = reported(bench)
    assert "why" not in quiet and alarmed["why"].startswith("flow is low xxx") and len(alarmed["why"]) <= 400


def test_21_reports_are_downsampled_by_event_time_and_sent_at_each_change(tmp_path):
    bench = Bench(tmp_path, report={"interval_s": 100})
    bench.results([0.1] * 200)
    bench.results(ALARM, 200)
    bench.wait(2)
    seconds = {(r["at"], r["verdict"], r["alarm"]) for r in reported(bench)}
    assert seconds == {
        (to_iso(T0 + s * SECOND), verdict, alarm)
        for s, verdict, alarm in (
            (0, "normal", None),
            (100, "normal", None),
            (200, "normal", None),
            (205, "anomalous", None),
            (207, "anomalous", "pending"),
            (211, "anomalous", "active"),
            (215, "normal", "active"),
            (218, "normal", None),
        )
    }


def test_21_a_repetition_is_not_reported_again(tmp_path):
    bench = Bench(tmp_path, report={"interval_s": 0})
    bench.results([0.1] * 10)
    bench.results([0.1] * 10, 0, stream="inference-2")
    bench.wait(2)
    assert len(reported(bench)) == 10


def test_21_reporting_can_be_switched_off(tmp_path):
    bench = Bench(tmp_path, report={"enabled": "false"})
    bench.results(ALARM)
    bench.wait(2)
    assert sent(bench, RESULTS) == []


def test_22_local_alarms_continue_without_the_cloud(tmp_path, caplog):
    bench = Bench(tmp_path, report={"interval_s": 0})
    bench.bus.failing_topics |= {ALERTS, RESULTS}
    bench.results(ALARM)
    assert [a.state for a in bench.alerts()] == ["pending", "active", "cleared"]
    tries = bench.bus.attempts
    bench.wait(20)
    assert bench.bus.attempts - tries <= 12
    assert len([r for r in caplog.records if "IoT Core does not accept" in r.message]) == 2
    bench.bus.failing_topics.clear()
    bench.wait(20)
    assert [a["state"] for a in sent(bench, ALERTS)] == ["active", "cleared"] and len(reported(bench)) == len(ALARM)
