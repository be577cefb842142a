"""The scorer itself is anchored: what it must say of judges whose figures are known, on the recordings at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_training.evaluation import recordings, robustness
from model_training.evaluation.baselines import BASELINES, judge_by_verdict
from model_training.evaluation.baselines.cache import Cache
from model_training.evaluation.bundle_scoring import Judge
from model_training.evaluation.figures import Figures, figures, free_pieces, judge_all
from model_training.evaluation.recordings import Found


@pytest.fixture(scope="module")
def found(shared: Path) -> Found:
    folder = shared / "data" / "skab"
    if not folder.is_dir():
        pytest.skip(f"no recordings {folder}")
    return recordings.find(folder)


def judge(name: str, found: Found, tmp_path: Path) -> Judge:
    return judge_by_verdict(name, BASELINES[name], found, Cache(name, 0, tmp_path))


def told(name: str, found: Found, tmp_path: Path) -> Figures:
    by = judge(name, found, tmp_path)
    return figures(judge_all(by, found.recordings), judge_all(by, free_pieces(found.free)[0]), 0.5)


def test_always_alarming(found: Found, tmp_path: Path) -> None:
    said = told("always alarm", found, tmp_path)
    assert said.recordings == 24
    assert round(said.f1, 3) == 0.692
    assert (said.false_alarm_rate, said.missed_alarm_rate, said.normal_false_alarm_rate) == (1, 0, 1)
    assert said.nab == 0


def test_rows_570_to_970_without_a_sensor(found: Found, tmp_path: Path) -> None:
    said = told("position only", found, tmp_path)
    assert (round(said.f1, 3), round(said.false_alarm_rate, 3), round(said.missed_alarm_rate, 3)) == (0.936, 0.090, 0.049)
    assert said.normal_false_alarm_rate == pytest.approx(401 / 750)


def test_the_position_cheat_fails_the_audits_of_position(found: Found, tmp_path: Path) -> None:
    by = judge("position only", found, tmp_path)
    results = {result.name: result for result in robustness.run(by, judge_all(by, found.recordings), 0.5)}
    assert not results["shifted"].passed and results["shifted"].change < -0.05
    assert not results["without an anomaly"].passed and results["without an anomaly"].false_alarm_rate > 0.5
    assert results["rescaled"].change == 0


def test_a_chart_of_sensors_passes_them(found: Found, tmp_path: Path) -> None:
    by = judge("moving-average chart", found, tmp_path)
    results = {result.name: result for result in robustness.run(by, judge_all(by, found.recordings), 0.5, ("shifted", "rescaled"))}
    assert results["shifted"].passed and abs(results["rescaled"].change) < 1e-3
