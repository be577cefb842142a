"""Anchors of the evaluation: detectors with known figures on the SKAB recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_training.evaluation import recordings, robustness
from model_training.evaluation.baselines import BASELINES, baseline_detector
from model_training.evaluation.baselines.cache import Cache
from model_training.evaluation.bundle_scoring import Detector
from model_training.evaluation.figures import Figures, figures, normal_pieces, run_detector
from model_training.evaluation.recordings import RecordingSet


@pytest.fixture(scope="module")
def dataset(shared: Path) -> RecordingSet:
    folder = shared / "data" / "skab"
    if not folder.is_dir():
        pytest.skip(f"no recordings {folder}")
    return recordings.find(folder)


def detector(name: str, dataset: RecordingSet, tmp_path: Path) -> Detector:
    return baseline_detector(name, BASELINES[name], dataset, Cache(name, 0, tmp_path))


def evaluated(name: str, dataset: RecordingSet, tmp_path: Path) -> Figures:
    by = detector(name, dataset, tmp_path)
    return figures(run_detector(by, dataset.recordings), run_detector(by, normal_pieces(dataset.normal)[0]), 0.5)


def test_always_alarm_baseline_has_known_figures(dataset: RecordingSet, tmp_path: Path) -> None:
    result = evaluated("always alarm", dataset, tmp_path)
    assert result.recordings == 24
    assert round(result.f1, 3) == 0.692
    assert (result.false_alarm_rate, result.missed_alarm_rate, result.normal_false_alarm_rate) == (1, 0, 1)
    assert result.nab == 0


def test_position_baseline_has_known_figures(dataset: RecordingSet, tmp_path: Path) -> None:
    result = evaluated("position only", dataset, tmp_path)
    assert (round(result.f1, 3), round(result.false_alarm_rate, 3), round(result.missed_alarm_rate, 3)) == (0.936, 0.090, 0.049)
    assert result.normal_false_alarm_rate == pytest.approx(401 / 750)


def test_position_baseline_fails_audits(dataset: RecordingSet, tmp_path: Path) -> None:
    by = detector("position only", dataset, tmp_path)
    results = {result.name: result for result in robustness.run(by, run_detector(by, dataset.recordings), 0.5)}
    assert not results["shifted"].passed and results["shifted"].change < -0.05
    assert not results["without an anomaly"].passed and results["without an anomaly"].false_alarm_rate > 0.5
    assert results["rescaled"].change == 0


def test_control_chart_passes_audits(dataset: RecordingSet, tmp_path: Path) -> None:
    by = detector("moving-average chart", dataset, tmp_path)
    results = {result.name: result for result in robustness.run(by, run_detector(by, dataset.recordings), 0.5, ("shifted", "rescaled"))}
    assert results["shifted"].passed and abs(results["rescaled"].change) < 1e-3
