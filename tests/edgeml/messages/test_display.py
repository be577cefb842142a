"""Display of the suite's messages by `gglocal sub` and `pub`."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from edgeml.auth import gglocal_messages
from edgeml.messages import MISSING, STUCK, Message, SensorBatch, display, encode, topics
from edgeml.timestamps import SECOND
from gglocal.cli.format import message_lines
from gglocal.message_plugins import plugins
from tests.components.alert_dispatcher.kit import results
from tests.edgeml.samples import SAMPLES

T0 = 1_767_225_600 * SECOND


def batch() -> SensorBatch:
    values = np.array([[121.1, 0.1], [120.9, np.nan]], "f4")
    quality = np.array([[0, STUCK], [0, MISSING]], "u1")
    return SensorBatch.of("pump-2", "s", 7, ("flow", "pressure"), ("l/min", "bar"), T0 + np.arange(2) * SECOND, values, quality)


def displayed(topic: str, message: Message, as_json: bool) -> list[str]:
    seal = f"edgeml1 com.edgeml.X 12 {'0' * 32}\n".encode()
    answer: dict[str, Any] = {"topic": topic, "payload": base64.b64encode(seal + encode(message)).decode(), "sender": None, "at": 1.0}
    return message_lines(answer, as_json, False)


def test_gglocal_finds_the_message_plugin() -> None:
    assert gglocal_messages in plugins()


def test_readings_are_displayed_one_row_a_line() -> None:
    assert displayed(topics.SENSORS, batch(), False) == [
        "edgeml/sensors pump-2 2026-01-01T00:00:00.000Z flow 121.1 l/min, pressure 0.1 bar (stuck)",
        "edgeml/sensors pump-2 2026-01-01T00:00:01.000Z flow 120.9 l/min, pressure - (missing)",
    ]


def test_readings_are_displayed_as_values_in_json() -> None:
    value = json.loads(*displayed(topics.SENSORS, batch(), True))["value"]
    assert value["units"] == {"flow": "l/min", "pressure": "bar"} and (value["asset"], value["stream"], value["seq"]) == ("pump-2", "s", 7)
    assert value["rows"] == [
        {"time": "2026-01-01T00:00:00.000Z", "values": {"flow": 121.1, "pressure": 0.1}, "quality": {"pressure": "stuck"}},
        {"time": "2026-01-01T00:00:01.000Z", "values": {"flow": 120.9, "pressure": None}, "quality": {"pressure": "missing"}},
    ]


def test_results_are_displayed_as_one_verdict_a_row() -> None:
    block = results([0.97, None], deviations=(-6.2, 4.1, np.nan))
    first, second = displayed(topics.RESULTS, block, False)
    assert first.startswith("edgeml/results pump-1 2020-03-09T10:00:00.000Z confidence 0.970 (flow -6.2 σ, pressure +4.1 σ)")
    assert second.endswith("Z no decision: learning")
    rows = json.loads(*displayed(topics.RESULTS, block, True))["value"]["rows"]
    assert [(row["confidence"], row["reason"]) for row in rows] == [(0.97, None), (None, "learning")]
    assert rows[0]["deviations"] == {"flow": pytest.approx(-6.2, abs=0.01), "pressure": pytest.approx(4.1, abs=0.01), "current": None}


def test_explanation_is_displayed_instead_of_deviations() -> None:
    block = results([0.97, 0.2], deviations=(-1.2, 0.4, np.nan), why=["flow is low", ""])
    first, second = displayed(topics.RESULTS, block, False)
    assert first.endswith("confidence 0.970 (flow is low)")
    assert second.endswith("confidence 0.200 (flow -1.2, pressure +0.4 of the alarm level)")
    rows = json.loads(*displayed(topics.RESULTS, block, True))["value"]["rows"]
    assert [row["why"] for row in rows] == ["flow is low", ""]


def test_names_in_a_batch_cannot_control_the_terminal() -> None:
    block = SensorBatch.of("a\x1b[2J\n", "s", 0, ("\x1b]0;x\x07",), ("\u202e",), np.array([T0]), np.array([[1.0]], "f4"))
    (line,) = displayed(topics.SENSORS, block, False)
    assert line.isprintable()


def test_inconsistent_batch_is_displayed_unchanged() -> None:
    payload = encode(SensorBatch(asset="a", stream="s", seq=0, channels=("x",), units=(), times=b"1", values=b""))
    assert display.lines(topics.SENSORS, payload) is None and display.value(topics.SENSORS, payload) is None
    assert "has length" in display.fault(topics.SENSORS, payload)


@pytest.mark.parametrize("topic", display.CARRIES)
def test_message_is_accepted_on_its_own_topics_only(topic: str) -> None:
    for message in SAMPLES.values():
        belongs = isinstance(message, display.CARRIES[topic])
        assert bool(display.fault(topic, encode(message))) is not belongs, message


def test_every_local_topic_with_messages_can_be_displayed() -> None:
    local = {topic.name for topic in topics.TOPICS if not topic.cloud}
    assert display.CARRIES.keys() == local - {topics.HEARTBEAT}
