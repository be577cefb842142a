"""Remaining life: features as on a device, folds of whole engines, calibration, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_training import calibration
from model_training.datasets import DatasetError, load_cmapss
from model_training.regression import augmentation, baseline, evaluation, examples, life_calibration, manifest_template, training
from model_training.training_request import TrainingError, TrainingRequest

from edgeml.messages import GOOD
from edgeml.model.bundle import Bundle, assemble
from edgeml.model.scorer import AssetScorer
from tests.model_training.regression.synthetic_engines import write

LIVES = (150, 180, 120, 200)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "cmapss", LIVES, (31, 29, 140), (60, 90, 10))


def bundle(folder: Path) -> Bundle:
    rows = examples.channels(load_cmapss(folder).train)
    table = life_calibration.falling(np.array([10.0, 20.0, 40.0, 80.0]), np.array([True, True, False, False]), manifest_template.PRIOR)
    return assemble(manifest_template.manifest(manifest_template.scaling(rows), table), b"no network")


class Keeps:
    """An engine that returns the mean of the newest steps in cycles and records its inputs."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.inputs.append(features.copy())
        return 60.0 + float(features[-1].mean())


def test_examples_equal_device_features(folder: Path) -> None:
    bundles, engines = bundle(folder), load_cmapss(folder).train
    seen = examples.build(bundles.manifest, engines)
    rows, stored = examples.channels(engines), Keeps()
    for engine in np.unique(engines.engine):
        at = engines.engine == engine
        times = engines.cycle[at].astype(np.int64) * round(manifest_template.CYCLE_S * 1e9)
        AssetScorer(bundles, stored).feed(times, rows[at], np.full(rows[at].shape, GOOD, np.uint8))
    assert seen.x.shape == (sum(life - 29 for life in LIVES), 6, 42)
    assert np.array_equal(seen.x, np.array(stored.inputs))


def test_examples_count_down_to_failure(folder: Path) -> None:
    seen = examples.build(bundle(folder).manifest, load_cmapss(folder).train)
    assert np.unique(seen.engine).tolist() == [1, 2, 3, 4]
    assert seen.life[seen.engine == 3].tolist() == list(range(120 - 30, -1, -1))


def test_folds_keep_engines_whole() -> None:
    engine = np.repeat(np.arange(1, 11), 7)
    parts = examples.folds(engine, 3, seed=4)
    assert sorted(np.concatenate(parts).tolist()) == list(range(1, 11))
    assert [part.tolist() for part in parts] == [part.tolist() for part in examples.folds(engine, 3, seed=4)]


def test_stretched_engines_wear_like_originals(folder: Path) -> None:
    real = load_cmapss(folder).train
    bundles = augmentation.stretched(real, 3, seed=1)
    assert np.array_equal(bundles.sensors, augmentation.stretched(real, 3, seed=1).sensors)
    for number, life in enumerate(LIVES, 1):
        mine = bundles.engine == number
        ends = np.flatnonzero(mine & (bundles.life == 0))
        assert len(ends) == 3 and all(life / 1.5 - 1 <= cycles <= life * 1.5 + 1 for cycles in bundles.cycle[ends])
        assert {life} != set(bundles.cycle[ends])
        # The noise is 0.5; wear changes the last sensor by 10.
        assert bundles.sensors[ends, 20] == pytest.approx(real.sensors[(real.engine == number) & (real.life == 0), 20].repeat(3), abs=2.5)


def test_smoothing_keeps_straight_line() -> None:
    line = np.arange(60.0)[:, None] * [1.0, -2.0]
    assert np.abs(augmentation.smooth(line) - line).max() < 1e-9


def test_baseline_fits_straight_line() -> None:
    x = np.random.default_rng(0).normal(0, 1, (500, 2, 3))
    life = 60 + 5 * x[:, 0, 0] - 3 * x[:, 1, 2]
    assert np.abs(baseline.predict(baseline.fit(x, life, ridge=1e-6), x) - life).max() < 1e-3


def test_confidence_decreases_with_life_and_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    life = rng.uniform(0, 200, 20_000)
    score, below = life + rng.normal(0, 8, len(life)), life < manifest_template.HORIZON
    table = life_calibration.falling(score, below, manifest_template.PRIOR)
    assert table.confidence(0.0) > 0.95 and table.confidence(125.0) < 0.02
    assert list(table.confidences) == sorted(table.confidences, reverse=True)
    assert calibration.expected_error(calibration.apply(table, score), below, manifest_template.PRIOR) < 0.01


def test_manifest_has_horizon_and_score_description(folder: Path) -> None:
    manifest = bundle(folder).manifest
    assert manifest.horizon == 30.0 and "cycles" in manifest.score and manifest.input_shape == (6, 42)


def test_metrics_of_predictions() -> None:
    nan = np.nan
    answers = evaluation.LifePredictions(
        engine=np.array([1, 1, 2, 3]),
        cycle=np.array([1, 2, 1, 1]),
        score=np.array([50, 40, 100, nan], np.float32),
        confidence=np.array([0.0, 0.0, 1.0, nan], np.float32),
        life=np.array([50, 43, 20, 300], np.float32),
        last=np.array([False, True, True, True]),
    )
    metrics = evaluation.compute_metrics(answers, horizon=30.0, prior=0.5)
    # Errors of -3 and +80, and of 0 where both the missing decision and 300 cycles count as the cap.
    assert (metrics.engines, metrics.undecided) == (3, 1)
    assert metrics.rmse == pytest.approx(np.sqrt((9 + 6400) / 3))
    assert metrics.rmse_rows == pytest.approx(np.sqrt((0 + 9 + 6400) / 3))
    assert metrics.nasa == pytest.approx(np.exp(3 / 13) - 1 + np.exp(8) - 1)
    assert metrics.calibration_error == pytest.approx(0.0)


def request(data: Path | None, out: Path, say: list[str] | None = None) -> TrainingRequest:
    return TrainingRequest(data, out, 1, True, (say if say is not None else []).append)


def refusal(data: Path | None, out: Path) -> str:
    with pytest.raises(TrainingError) as caught:
        training.train(request(data, out))
    text = str(caught.value)
    assert "\n" not in text and not out.exists()
    return text


def test_training_fetches_data_without_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = []

    def unreachable(name: str, out: Path, log: Any) -> None:
        requested.append((name, out))
        raise DatasetError("the address does not answer; name a folder")

    monkeypatch.setattr(training, "fetch", unreachable)
    assert "does not answer" in refusal(None, tmp_path / "out")
    assert requested == [("cmapss", tmp_path / "out" / "data")]


def test_invalid_data_fail_with_reason(folder: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", folder / "train_FD001.txt"
    good = file.read_text()
    file.write_text("")
    assert "train_FD001.txt has no rows" in refusal(folder, out)
    lines = good.splitlines()
    file.write_text("\n".join([lines[0], lines[1].rsplit(" ", 1)[0], *lines[2:]]) + "\n")
    assert "line 2 has 25 numbers" in refusal(folder, out)
    write(folder, (150, 180), (31,), (60,))
    assert "2 whole engines, but at least 3" in refusal(folder, out)
    write(folder, (20, 21, 22, 23), (31,), (60,))
    assert "lasts 30 cycles" in refusal(folder, out)
    file.unlink()
    assert "train_FD001.txt" in refusal(folder, out)


@pytest.mark.training
def test_training_is_reproducible_and_predicts_cycles(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: edgeml dev test-training")
    bundles = []
    for name in ("a", "b"):
        lines: list[str] = []
        bundles.append(Bundle.load(training.train(request(folder, tmp_path / name, lines)).bundle))
        assert "partial" in lines[0] and any("RMSE" in line for line in lines)
    assert bundles[0].digest == bundles[1].digest
    for each in (bundles[0], Bundle.load(tmp_path / "a" / "engine_life-float32")):
        answers = evaluation.predict(each, load_cmapss(folder).test)
        decided = ~np.isnan(answers.score)
        assert decided.sum() == 2 + 0 + 111 and (answers.cycle[decided] >= 30).all()
        assert (answers.score[decided] >= 0).all() and (answers.score[decided] <= 125.5).all()
    assert len(bundles[0].model) < 64_000 and bundles[0].manifest.provenance["weights"] == "int8"
