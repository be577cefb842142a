"""Failure types: physical features, stratified folds, calibration, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_training.classification import baseline, cross_validation, evaluation, features, manifest_template, training
from model_training.datasets import DatasetError, load_ai4i
from model_training.training_request import TrainingError, TrainingRequest

from edgeml.model.bundle import Bundle

HEADER = (
    "UDI,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],Torque [Nm],Tool wear [min],Machine failure"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """300 rows; those with a power above 9,000 W fail."""
    rng, lines = np.random.default_rng(0), [HEADER]
    for i in range(300):
        torque, speed = rng.uniform(25, 65), rng.uniform(1300, 1700)
        fails = int(torque * speed * 2 * np.pi / 60 > 9000)
        lines.append(f"{i + 1},M{i},{'LMH'[i % 3]},300.{i % 10},310.5,{speed:.0f},{torque:.1f},{i % 150},{fails}")
    (tmp_path / "ai4i").mkdir()
    (tmp_path / "ai4i" / "ai4i2020.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path


def test_features_match_physics() -> None:
    rows = np.array([[1.0, 300.0, 309.0, 1500.0, 40.0, 100.0], [2.0, 298.0, 310.0, 2500.0, 10.0, 200.0]])
    seen = features.features(manifest_template.scaled(rows))
    assert seen.shape == (2, 10)
    assert seen[:, 6] * 2.25 + 9.85 == pytest.approx([9.0, 12.0])
    assert seen[:, 7] * 80 * 2900 == pytest.approx([60_000, 25_000])
    assert seen[:, 8] * 80 * 260 == pytest.approx([4_000, 2_000])
    assert seen[:, 9] * 80 * 260 == pytest.approx([4_000 - 12_000, 2_000 - 13_000])


def test_rows_have_manifest_order(folder: Path) -> None:
    data = load_ai4i(folder)
    rows = manifest_template.rows(data)
    names = manifest_template.manifest().names
    assert rows[:3, names.index("quality")].tolist() == [0.0, 1.0, 2.0]
    assert np.array_equal(rows[:, names.index("torque")], data.features[:, 3])
    assert np.abs(manifest_template.scaled(rows)).max() <= 1.0


def test_kinds_map_to_classes(folder: Path) -> None:
    data = load_ai4i(folder)
    found = manifest_template.classes(data, training.KINDS)
    assert np.array_equal(found > 0, data.failure) and set(found.tolist()) == {0, manifest_template.CLASSES.index("power")}
    assert set(manifest_template.OF_KIND) == set(training.KINDS)


def test_folds_are_stratified() -> None:
    classes = np.repeat([0, 1, 2], [90, 10, 5])
    parts = cross_validation.folds(classes, 5, seed=1)
    assert np.sum(parts, 0).tolist() == [1] * 105
    assert [np.bincount(classes[part], minlength=3).tolist() for part in parts] == [[18, 2, 1]] * 5


def test_baseline_fits_odds() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (20_000, 2))
    failure = rng.random(len(x)) < 1 / (1 + np.exp(-(1.5 * x[:, 0] - 2.0)))
    assert baseline.fit(x, failure) == pytest.approx([1.5, 0.0, -2.0], abs=0.08)


def test_cross_calibration_uses_other_half() -> None:
    """With uninformative scores, a table applied to its own rows would correlate with the labels; a table of the other half does not."""
    rng = np.random.default_rng(0)
    score, failure = rng.random(400), rng.random(400) < 0.3
    confidence = cross_validation.cross_calibrate(score, failure, seed=1)
    assert len(set(np.round(confidence, 6))) > 1 and abs(np.corrcoef(confidence, failure)[0, 1]) < 0.2


def test_rates_and_types() -> None:
    confidence = np.array([0.9, 0.9, 0.1, 0.5])
    probabilities = np.array([[0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    predicted = evaluation.predicted_class(confidence, probabilities, 0.4)
    assert predicted.tolist() == [1, 2, 0, 1]
    each = evaluation.rates_by_class(predicted, np.array([1, 1, 0, 1]), ("none", "power", "wear"))
    assert each["power"] == (0.8, 1.0, 2 / 3, 3) and each["wear"] == (0.0, 0.0, 0.0, 0)
    assert evaluation.macro_f1(each) == 0.8


def refusal(data: Path | None, out: Path) -> str:
    with pytest.raises(TrainingError) as caught:
        training.train(TrainingRequest(data, out, 1, True, lambda line: None))
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
    assert requested == [("ai4i", tmp_path / "out" / "data")]


def test_invalid_data_fail_with_reason(folder: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", folder / "ai4i" / "ai4i2020.csv"
    good = file.read_text("utf-8")
    file.write_text("")
    assert "has no rows" in refusal(folder, out)
    file.write_text(good.replace("Torque [Nm]", "Torque"))
    assert "no column Torque [Nm]" in refusal(folder, out)
    file.write_text("\n".join([HEADER, *(line[:-1] + "0" for line in good.splitlines()[1:])]) + "\n")
    assert "has 0 failures in 300 rows" in refusal(folder, out)
    file.unlink()
    assert "ai4i" in refusal(folder, out)


@pytest.mark.training
def test_training_is_reproducible_and_predicts_type(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow: edgeml dev test-training")
    created = []
    for name in ("a", "b"):
        predicted: list[str] = []
        created.append(Bundle.load(training.train(TrainingRequest(folder, tmp_path / name, 1, True, predicted.append)).bundle))
        assert "partial" in predicted[0] and any("F1 of failure" in line for line in predicted)
    assert created[0].digest == created[1].digest
    rows = manifest_template.rows(load_ai4i(folder))
    for each in (created[0], Bundle.load(tmp_path / "a" / "mill_failure-float32")):
        score, confidence, probabilities = evaluation.predict(each, rows)
        assert probabilities.sum(1) == pytest.approx(np.ones(len(rows)), abs=0.02)
        assert score == pytest.approx(1 - probabilities[:, 0], abs=1e-6) and np.isfinite(confidence).all()
    assert len(created[0].model) < 64_000
