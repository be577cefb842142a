"""Remaining life: what the network sees is what a device sees, engines are split whole, and the figures are what they say."""

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
from edgeml.model.bundle import Bundle, seal
from edgeml.model.scorer import AssetScorer
from tests.model_training.regression.made import write

LIVES = (150, 180, 120, 200)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "cmapss", LIVES, (31, 29, 140), (60, 90, 10))


def bundle(folder: Path) -> Bundle:
    rows = examples.channels(load_cmapss(folder).train)
    table = life_calibration.falling(np.array([10.0, 20.0, 40.0, 80.0]), np.array([True, True, False, False]), manifest_template.PRIOR)
    return seal(manifest_template.manifest(manifest_template.scaling(rows), table), b"no network")


class Keeps:
    """An engine that answers with the mean of the newest steps, in cycles, and keeps its inputs."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.inputs.append(features.copy())
        return 60.0 + float(features[-1].mean())


def test_training_sees_what_a_device_sees(folder: Path) -> None:
    made, engines = bundle(folder), load_cmapss(folder).train
    seen = examples.build(made.manifest, engines)
    rows, kept = examples.channels(engines), Keeps()
    for engine in np.unique(engines.engine):
        at = engines.engine == engine
        times = engines.cycle[at].astype(np.int64) * round(manifest_template.CYCLE_S * 1e9)
        AssetScorer(made, kept).feed(times, rows[at], np.full(rows[at].shape, GOOD, np.uint8))
    assert seen.x.shape == (sum(life - 29 for life in LIVES), 6, 42)
    assert np.array_equal(seen.x, np.array(kept.inputs))


def test_life_counts_down_to_the_failure_and_every_engine_is_there(folder: Path) -> None:
    seen = examples.build(bundle(folder).manifest, load_cmapss(folder).train)
    assert np.unique(seen.engine).tolist() == [1, 2, 3, 4]
    assert seen.life[seen.engine == 3].tolist() == list(range(120 - 30, -1, -1))


def test_folds_split_engines_whole() -> None:
    engine = np.repeat(np.arange(1, 11), 7)
    parts = examples.folds(engine, 3, seed=4)
    assert sorted(np.concatenate(parts).tolist()) == list(range(1, 11))
    assert [part.tolist() for part in parts] == [part.tolist() for part in examples.folds(engine, 3, seed=4)]


def test_stretched_engines_wear_as_the_real_ones_do(folder: Path) -> None:
    real = load_cmapss(folder).train
    made = augmentation.stretched(real, 3, seed=1)
    assert np.array_equal(made.sensors, augmentation.stretched(real, 3, seed=1).sensors)
    for number, life in enumerate(LIVES, 1):
        mine = made.engine == number
        ends = np.flatnonzero(mine & (made.life == 0))
        assert len(ends) == 3 and all(life / 1.5 - 1 <= cycles <= life * 1.5 + 1 for cycles in made.cycle[ends])
        assert {life} != set(made.cycle[ends])
        # The noise is 0.5, what wear does to the last sensor is 10.
        assert made.sensors[ends, 20] == pytest.approx(real.sensors[(real.engine == number) & (real.life == 0), 20].repeat(3), abs=2.5)


def test_smoothing_keeps_a_straight_line() -> None:
    line = np.arange(60.0)[:, None] * [1.0, -2.0]
    assert np.abs(augmentation.smooth(line) - line).max() < 1e-9


def test_the_baseline_finds_a_straight_line() -> None:
    x = np.random.default_rng(0).normal(0, 1, (500, 2, 3))
    life = 60 + 5 * x[:, 0, 0] - 3 * x[:, 1, 2]
    assert np.abs(baseline.predict(baseline.fit(x, life, ridge=1e-6), x) - life).max() < 1e-3


def test_confidence_falls_with_remaining_life_and_is_right_at_the_prior() -> None:
    rng = np.random.default_rng(0)
    life = rng.uniform(0, 200, 20_000)
    score, below = life + rng.normal(0, 8, len(life)), life < manifest_template.HORIZON
    table = life_calibration.falling(score, below, manifest_template.PRIOR)
    assert table.confidence(0.0) > 0.95 and table.confidence(125.0) < 0.02
    assert list(table.confidences) == sorted(table.confidences, reverse=True)
    assert calibration.expected_error(calibration.apply(table, score), below, manifest_template.PRIOR) < 0.01


def test_the_manifest_says_the_horizon_and_what_the_score_means(folder: Path) -> None:
    manifest = bundle(folder).manifest
    assert manifest.horizon == 30.0 and "cycles" in manifest.score and manifest.input_shape == (6, 42)


def test_figures_of_answers() -> None:
    nan = np.nan
    answers = evaluation.Answers(
        engine=np.array([1, 1, 2, 3]),
        cycle=np.array([1, 2, 1, 1]),
        score=np.array([50, 40, 100, nan], np.float32),
        confidence=np.array([0.0, 0.0, 1.0, nan], np.float32),
        life=np.array([50, 43, 20, 300], np.float32),
        last=np.array([False, True, True, True]),
    )
    worth = evaluation.worth(answers, horizon=30.0, prior=0.5)
    # Off by -3, +80, and by nothing where no decision and 300 cycles both count as the cap.
    assert (worth.engines, worth.undecided) == (3, 1)
    assert worth.rmse == pytest.approx(np.sqrt((9 + 6400) / 3))
    assert worth.rmse_rows == pytest.approx(np.sqrt((0 + 9 + 6400) / 3))
    assert worth.nasa == pytest.approx(np.exp(3 / 13) - 1 + np.exp(8) - 1)
    assert worth.calibration_error == pytest.approx(0.0)


def request(data: Path | None, out: Path, say: list[str] | None = None) -> TrainingRequest:
    return TrainingRequest(data, out, 1, True, (say if say is not None else []).append)


def refusal(data: Path | None, out: Path) -> str:
    with pytest.raises(TrainingError) as caught:
        training.train(request(data, out))
    text = str(caught.value)
    assert "\n" not in text and not out.exists()
    return text


def test_without_a_folder_the_data_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unreachable(name: str, out: Path, say: Any) -> None:
        asked.append((name, out))
        raise DatasetError("the address does not answer; name a folder")

    monkeypatch.setattr(training, "fetch", unreachable)
    assert "does not answer" in refusal(None, tmp_path / "out")
    assert asked == [("cmapss", tmp_path / "out" / "data")]


def test_bad_data_say_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", folder / "train_FD001.txt"
    good = file.read_text()
    file.write_text("")
    assert "train_FD001.txt has no rows" in refusal(folder, out)
    lines = good.splitlines()
    file.write_text("\n".join([lines[0], lines[1].rsplit(" ", 1)[0], *lines[2:]]) + "\n")
    assert "line 2 has 25 numbers" in refusal(folder, out)
    write(folder, (150, 180), (31,), (60,))
    assert "2 whole engines, at least 3" in refusal(folder, out)
    write(folder, (20, 21, 22, 23), (31,), (60,))
    assert "lasts 30 cycles" in refusal(folder, out)
    file.unlink()
    assert "train_FD001.txt" in refusal(folder, out)


@pytest.mark.training
def test_the_same_seed_gives_the_same_bytes_and_the_bundle_answers_in_cycles(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: edgeml dev test-training")
    made = []
    for name in ("a", "b"):
        said: list[str] = []
        made.append(Bundle.load(training.train(request(folder, tmp_path / name, said))))
        assert "partial" in said[0] and any("RMSE" in line for line in said)
    assert made[0].digest == made[1].digest
    for each in (made[0], Bundle.load(tmp_path / "a" / "engine_life-float32")):
        answers = evaluation.answer(each, load_cmapss(folder).test)
        decided = ~np.isnan(answers.score)
        assert decided.sum() == 2 + 0 + 111 and (answers.cycle[decided] >= 30).all()
        assert (answers.score[decided] >= 0).all() and (answers.score[decided] <= 125.5).all()
    assert len(made[0].model) < 64_000 and made[0].manifest.provenance["weights"] == "int8"
