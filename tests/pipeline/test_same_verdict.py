"""A verdict on a device and a verdict in evaluation are the same, digit for digit."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from model_training.evaluation.__main__ import main

from edgeml.alarms.alarm_policy import ACTIVE, CLEARED
from edgeml.messages import Alert, ResultBlock, decode, topics
from edgeml.timestamps import from_iso
from edgeml_cli.demo.scenario import recorded
from gglocal.core.state import Delivery


def test_deployed_zips_give_the_predictions_of_a_recording(line, built: Path, version, shared: Path, tmp_path: Path) -> None:
    original = shared / "data" / "skab" / "valve1" / "0.csv"
    if not original.is_file():
        pytest.skip(f"no recording {original}")
    file = tmp_path / "data" / "valve1" / "0.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(original.read_bytes())
    bundle, predictions = tmp_path / "bundle", tmp_path / "predictions.csv"
    with zipfile.ZipFile(built / "artifacts" / "com.edgeml.Inference" / version / "pump_anomaly.zip") as zipped:
        zipped.extractall(bundle)
    assert main(["--data", str(tmp_path / "data"), "--bundle", str(bundle), "--predictions", str(predictions), "--no-audits"]) == 0
    with predictions.open(newline="") as lines:
        rows = list(csv.DictReader(lines))

    suite = line()
    confidences: dict[int, float] = {}
    turns: list[tuple[int, bool]] = []

    def heard(course: object, delivery: Delivery) -> None:
        message = decode(delivery.payload) if delivery.topic in (topics.RESULTS, topics.ALERTS) else None
        if isinstance(message, ResultBlock):
            columns = message.arrays()
            decided = np.where(columns.reason == 0, columns.confidence, np.float32(np.nan))
            confidences.update(zip(columns.times.tolist(), decided, strict=True))
        if isinstance(message, Alert) and message.raised_at is not None and message.state in (ACTIVE, CLEARED):
            turns.append((from_iso(message.at), message.state == ACTIVE))

    scenario = recorded(file)
    suite.deploy(scenario.config, version)
    suite.follow(scenario, heard)

    times = [from_iso(row["time"]) for row in rows]
    assert len(rows) == scenario.rows == len(confidences)
    wanted = [row["confidence"] for row in rows]
    assert ["" if np.isnan(confidences[at]) else str(confidences[at]) for at in times] == wanted
    assert sum(text != "" for text in wanted) > 700
    given = [next((raised for turn, raised in reversed(turns) if turn <= at), False) for at in times]
    assert [str(int(alarm)) for alarm in given] == [row["alarm"] for row in rows]
    assert any(given)
