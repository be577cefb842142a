"""The training run of the anomaly model, with few examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_training import source_digest
from model_training.anomaly import manifest_template, training
from model_training.datasets import Recording

from edgeml.model.bundle import Bundle
from edgeml.model.runtime import open_engine


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    rng = np.random.default_rng(0)
    times = np.arange(400) * 10**9
    return [Recording(f"valve1/{i}.csv", times, rng.normal(10, 1, (400, 8)).astype(np.float32), None) for i in range(2)]


def test_labelled_training_rows_are_warned_about(recordings: list[Recording]) -> None:
    marks = np.zeros(400, bool)
    marks[:7] = True
    assert training.label_warnings(recordings[0]) == []
    (sentence,) = training.label_warnings(recordings[0]._replace(anomaly=marks))
    assert sentence.startswith("valve1/0.csv: 7 of the 400 rows that train as normal are labelled anomalous")


@pytest.mark.training
def test_training_is_reproducible(tmp_path: Path, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EXAMPLES", 50)
    lines: list[str] = []
    digests = {recording.name: "0" * 64 for recording in recordings}
    for name in ("a", "b"):
        assert (
            training.write(
                recordings,
                digests,
                tmp_path / name,
                1,
                lines.append,
                episodes=6,
                pumps=2,
                epochs=1,
            )
            == tmp_path / name / manifest_template.NAME
        )
    for bundle in (manifest_template.NAME, f"{manifest_template.NAME}-float32"):
        a, b = (Bundle.load(tmp_path / name / bundle) for name in ("a", "b"))
        assert a.digest == b.digest
        assert (tmp_path / "a" / bundle / "manifest.json").read_bytes() == (tmp_path / "b" / bundle / "manifest.json").read_bytes()
        assert 0.0 <= open_engine(a).run(np.zeros((60, 16), np.float32)) <= 1.0
    assert any("epoch 1/1" in text for text in lines)


def test_source_digest_covers_the_files_outside_of_the_package() -> None:
    own = source_digest.digest(training.__package__)
    assert len({own, *(source_digest.digest(training.__package__, [file]) for file in training.CODE)}) == 1 + len(training.CODE)
