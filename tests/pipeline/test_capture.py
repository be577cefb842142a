"""From the machine to the trainer: what the deployed suite captures around an alarm is what the preparation makes a data set of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_training.prepare import build, load_prepared
from model_training.prepare.plan import Plan

from edgeml.times import SECOND, from_iso
from suite.scenario import ASSET
from tests.pipeline.line import START, valve


def test_rows_around_the_alarm_reach_the_trainer(line, version, tmp_path: Path) -> None:
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
    (steps,) = load_prepared(build(Plan(name="alarms"), [str(tmp_path / "captured")], tmp_path / "out").folder)
    assert steps.asset == ASSET
    wanted: set[int] = set()
    for moment in (alarm.raised_at, alarm.cleared_at):
        wanted |= {moment + second * SECOND for second in range(-60, 31)}
    end = from_iso(START) + 1300 * SECOND
    assert set(steps.times.tolist()) == {time for time in wanted if time < end}
    assert not np.isnan(steps.values).any()
