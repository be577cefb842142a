"""From the machine to training: the preparation makes a data set of the rows that the deployed suite captures around an alarm."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from model_training.prepare import load_prepared, prepare_dataset
from model_training.prepare.plan import Plan

from edgeml.messages import topics
from edgeml.timestamps import SECOND, from_iso
from edgeml_cli.demo.scenario import ASSET
from tests.pipeline.line import START, THING, valve


def test_rows_around_an_alarm_are_captured(line, version, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is absent; install the extra prepare")
    suite = line()
    scenario = valve(speed=150)
    capture = scenario.config["com.edgeml.SensorIngestion"]["capture"]
    capture |= {"before_s": 60, "after_s": 30, "folder": str(tmp_path / "captured")}
    suite.deploy(scenario.config, version)
    tally = suite.follow(scenario)
    suite.close()
    (alarm,) = [alarm for alarm in tally.alarms.values() if alarm.raised_at is not None]
    assert alarm.raised_at is not None and alarm.cleared_at is not None
    (steps,) = load_prepared(prepare_dataset(Plan(name="alarms"), [str(tmp_path / "captured")], tmp_path / "out").folder)
    assert steps.asset == ASSET
    wanted: set[int] = set()
    for moment in (alarm.raised_at, alarm.cleared_at):
        wanted |= {moment + second * SECOND for second in range(-60, 31)}
    end = from_iso(START) + 1300 * SECOND
    assert set(steps.times.tolist()) == {time for time in wanted if time < end}
    assert not np.isnan(steps.values).any()


def test_complete_files_go_to_iot_core_and_are_marked(line, version, tmp_path: Path) -> None:
    suite = line()
    scenario = valve(speed=150)
    capture = scenario.config["com.edgeml.SensorIngestion"]["capture"]
    capture |= {"mode": "all", "segment_rows": 200, "folder": str(tmp_path / "captured")}
    capture |= {"upload": True, "upload_confirmation": "echo", "upload_rate": 50}
    inbox = suite.nucleus.listen(topics.cloud_captures(THING), "to-iot")
    suite.deploy(scenario.config, version)
    suite.follow(scenario)
    suite.until(lambda: len(list((tmp_path / "captured").rglob("*.sent.csv.gz"))) >= 6, 30, "the sixth file's last piece")
    suite.close()
    rows: set[bytes] = set()
    with contextlib.suppress(TimeoutError):
        while True:
            rows |= set(gzip.decompress(base64.b64decode(json.loads(inbox.get(0.1).payload)["gzip"])).splitlines()[2:])
    there = [gzip.decompress(path.read_bytes()).splitlines()[2:] for path in (tmp_path / "captured").rglob("*.sent.csv.gz")]
    assert rows == {row for file in there for row in file} and len(rows) > 1000
