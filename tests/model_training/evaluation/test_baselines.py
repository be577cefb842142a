"""Baseline methods and the cache of their verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_training.evaluation import baselines
from model_training.evaluation.baselines import cache, control_chart, pca
from model_training.evaluation.baselines.conv_autoencoder import ConvAe
from model_training.evaluation.recordings import Recording, RecordingSet

from tests.model_training.evaluation.kit import make_recording


def flowing(onset: int = 570, end: int = 970, name: str = "1") -> Recording:
    """A recording with a flow reduced by a fifth in its anomaly."""
    recording = make_recording(onset=onset, end=end, name=name)
    recording.values[onset:end, -1] *= 0.8
    return recording


def test_control_chart_detects_shifted_mean_with_setting_of_other_half() -> None:
    recordings = [flowing(name=str(number)) for number in range(4)]
    setting = control_chart.choose(recordings)
    assert set(setting) == {"", *(recording.full_name for recording in recordings)}
    one = recordings[0]
    result = control_chart.verdict(one, setting[one.full_name])[400:]
    assert one.anomaly is not None
    assert np.mean(result == one.anomaly[400:]) > 0.9


def test_missing_value_is_filled_with_predecessor() -> None:
    values = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, 3.0]])
    assert control_chart.filled(values).tolist() == [[0.0, 1.0], [2.0, 1.0], [2.0, 3.0]]


def test_pca_detects_shifted_mean() -> None:
    one = flowing()
    result = pca.verdict(one)
    assert result[570:970].mean() > 0.9 and result[400:570].mean() < 0.1


def test_autoencoder_causal_variant_does_not_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    over = np.zeros(1150 - 59, bool)
    over[500:700] = True
    monkeypatch.setattr(ConvAe, "_over", lambda self, recording: over)
    causal, published = ConvAe().causal(make_recording()), ConvAe().published(make_recording())
    assert np.flatnonzero(causal).tolist() == list(range(559, 759))
    assert np.flatnonzero(published).tolist() == list(range(559, 701))


def test_verdicts_are_cached_by_definition_and_rows(tmp_path: Path) -> None:
    requested: list[str] = []

    def work_out(recording: Recording) -> np.ndarray:
        requested.append(recording.name)
        assert recording.anomaly is not None
        return recording.anomaly

    cached = cache.Cache("some method", {"limit": 1}, tmp_path, tmp_path)
    one = make_recording(name="1")
    assert (cached.get(one, work_out) == one.anomaly).all()
    cached.save()
    again = cache.Cache("some method", {"limit": 1}, tmp_path, tmp_path)
    assert (again.get(one, work_out) == one.anomaly).all() and requested == ["1"]
    other = make_recording(name="2", rows=1200)
    again.get(other, work_out)
    again.get(one, work_out, extra="another setting")
    cache.Cache("some method", {"limit": 2}, tmp_path, tmp_path).get(one, work_out)
    assert requested == ["1", "2", "1", "1"]
    assert not cache.Cache("some method", {"limit": 3}, tmp_path, tmp_path).get(one, None).any()


def test_baseline_table_gives_reason_for_unavailable_method(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cache, "CACHE_FOLDER", tmp_path)
    monkeypatch.setattr(baselines, "Cache", lambda name, definition: cache.Cache(name, definition, tmp_path, tmp_path))
    monkeypatch.setattr(baselines, "find_spec", lambda name: None)
    monkeypatch.setenv("EDGEML_TRAIN_PYTHON", str(tmp_path / "none"))
    dataset = RecordingSet(tuple(flowing(name=str(number)) for number in range(2)), (make_recording(rows=4700, onset=0, end=0),), ())
    rows = baselines.table(dataset, tmp_path, 0.5, lambda text: None)
    assert list(rows) == list(baselines.BASELINES)
    assert rows["always alarm"]["figures"]["normal_false_alarm_rate"] == 1
    assert rows["moving-average chart"]["figures"]["f1"] > 0.9
    failed = {name for name, row in rows.items() for audit in row.get("audits", ()) if audit["name"] == "shifted" and not audit["passed"]}
    assert failed == {"always alarm", "position only"}
    assert "TensorFlow is not installed; run `scripts/env --venv .venv-train train`" in rows["Conv-AE causal"]["unavailable"]
