"""Requirements on the shipped model, with the scorer and the default policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from model_training.anomaly import manifest_template, rig_recordings
from model_training.anomaly.evaluate import SHIPPED, run_policy
from model_training.anomaly.rig_recordings import Fault, MaintenanceStop
from model_training.datasets.skab import read_recording

from edgeml.model.bundle import Bundle, assemble
from edgeml.model.runtime import Engine, open_engine

SEEDS = range(1, 6)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(SHIPPED)


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Engine:
    return open_engine(bundle)


def test_shipped_manifest_matches_template_and_has_provenance(bundle: Bundle) -> None:
    expected = assemble(manifest_template.manifest(bundle.manifest.provenance), bundle.model).manifest
    actual = bundle.manifest
    assert {name: getattr(actual, name) for name in actual.__struct_fields__ if name != "digests"} == {
        name: getattr(expected, name) for name in expected.__struct_fields__ if name != "digests"
    }
    assert {"recordings", "simulator", "code", "seed", "tensorflow"} <= set(actual.provenance)


@pytest.mark.parametrize("seed", SEEDS)
def test_healthy_pump_raises_no_alarm_after_restart(bundle: Bundle, engine: Engine, seed: int) -> None:
    run = rig_recordings.simulate(seed, 2200, stops=(MaintenanceStop(1000, 60), MaintenanceStop(1500, 300)))
    outcome = run_policy(bundle, engine, run.times, run.values)
    assert outcome.raised == []
    assert np.isfinite(outcome.confidence).sum() > 1200


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["valve", "imbalance", "cavitation"])
def test_fault_raises_one_alarm_that_clears_after_repair(bundle: Bundle, engine: Engine, kind: str, seed: int) -> None:
    run = rig_recordings.simulate(seed, 1200, (Fault(kind, start_s=500),), (MaintenanceStop(620, 30),))
    outcome = run_policy(bundle, engine, run.times, run.values)
    assert len(outcome.raised) == len(outcome.cleared) == 1
    assert 500 < outcome.raised[0] < 620 < outcome.cleared[0] < 800
    assert np.nanmax(outcome.confidence[800:]) < 0.9


def test_recording_raises_one_alarm_after_onset(bundle: Bundle, engine: Engine, shared: Path) -> None:
    file = shared / "data" / "skab" / "valve1" / "0.csv"
    if not file.is_file():
        pytest.skip(f"no recording {file}")
    recording = read_recording("valve1/0.csv", file.read_bytes())
    assert recording.anomaly is not None
    onset = recording.times[np.flatnonzero(recording.anomaly)[0]]
    outcome = run_policy(bundle, engine, recording.times, recording.values)
    assert len(outcome.raised) == 1
    assert 0 <= recording.times[outcome.raised[0]] - onset <= 90 * 10**9


def test_recipe_of_alert_dispatcher_has_the_policy_of_the_model(bundle: Bundle) -> None:
    recipe = yaml.safe_load((Path(__file__).parents[2] / "recipes" / "com.edgeml.AlertDispatcher.yaml").read_text(encoding="utf-8"))
    configured = recipe["ComponentConfiguration"]["DefaultConfiguration"]["policy_by_model"]
    assert configured == {bundle.manifest.name: bundle.manifest.policy}
