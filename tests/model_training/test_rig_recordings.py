"""Recordings and simulated pumps for training."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from model_training.anomaly import rig_recordings, training, training_examples
from model_training.anomaly.manifest_template import manifest
from model_training.anomaly.rig_recordings import Fault, MaintenanceStop
from model_training.datasets.skab import COLUMNS, Recording
from model_training.training_request import TrainingError, TrainingRequest

from edgeml_cli.site.markdown import blocks

HEADER = ";".join(("datetime", *COLUMNS, "anomaly", "changepoint"))


def test_recording_has_channel_order(tmp_path: Path) -> None:
    (tmp_path / "skab" / "valve1").mkdir(parents=True)
    file = tmp_path / "skab" / "valve1" / "7.csv"
    file.write_text(f"{HEADER}\n2020-03-09 10:14:33;1;2;3;4;5;6;7;8;0.0;0.0\n2020-03-09 10:14:35;1;2;3;4;5;6;7;9.5;1.0;1.0\n")
    data = rig_recordings.load_recordings(tmp_path)
    (recording,) = data.recordings
    assert recording.name == "valve1/7.csv"
    assert recording.times.tolist() == [1583748873 * 10**9, 1583748875 * 10**9]
    assert recording.values.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 9.5]]
    assert recording.anomaly is not None and recording.anomaly.tolist() == [False, True]
    assert data.digests == {"valve1/7.csv": hashlib.sha256(file.read_bytes()).hexdigest()}


def test_recording_of_the_tutorial_is_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "tutorials" / "train-a-model.md"
    (block,) = [block for block in blocks(page.read_text(encoding="utf-8")) if block.language == "csv"]
    file = tmp_path / block.title.removeprefix("DIR/")
    file.parent.mkdir()
    file.write_text(block.body, encoding="utf-8")
    data = rig_recordings.load_recordings(tmp_path)
    assert [(recording.values.shape, recording.anomaly) for recording in data.recordings] == [((2, 8), None)]


def train(data: Path) -> Path:
    return training.train(TrainingRequest(data=data, out=data / "out", seed=1, quick=True, log=lambda line: None))


def test_folder_without_recordings_fails(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no file of skab, such as valve1/0.csv; download them: edgeml data fetch skab --out"):
        train(tmp_path)


def test_truncated_and_altered_recordings_are_loaded_with_warnings(tmp_path: Path) -> None:
    (tmp_path / "valve1").mkdir()
    lines = [HEADER, *(f"2020-03-09 10:{at // 60:02}:{at % 60:02};1;2;3;4;5;6;7;8;0;0" for at in range(1200))]
    (tmp_path / "valve1" / "0.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "valve1" / "1.csv").write_text("\n".join(lines[:11])[:-5])
    (tmp_path / "valve1" / "my-pump.csv").write_text("\n".join(lines[:11]))
    data = rig_recordings.load_recordings(tmp_path)
    assert [len(recording.times) for recording in data.recordings] == [1200, 9, 10]
    altered, truncated = training.data_warnings(data)
    assert altered.startswith("valve1/0.csv: its SHA-256 is ") and truncated.startswith("valve1/1.csv: partial: 9 of 1145 rows")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"time,flow\n1,2\n", "0.csv has no column datetime, Accelerometer1RMS"),
        (f"{HEADER}\n".encode(), "0.csv has no rows"),
        (b"", "0.csv has no rows"),
        (f"{HEADER}\n2020-03-09 10:14:33;1;2\n".encode(), "0.csv, line 2: it has only 3 cells; "),
        (
            f"{HEADER}\n2020-03-09 10:14:33;1;2;3;4;5;6;7;8;0;0\nsoon;1;2;3;4;5;6;7;8;0;0\n".encode(),
            "0.csv, line 3: 'soon' is not an ISO",
        ),
        (f"{HEADER}\n2020-03-09 10:14:33;1,5;2;3;4;5;6;7;8;0;0\n".encode(), "0.csv, line 2: '1,5' is no number"),
        (b"\xff\xfe\x00", "0.csv is not a CSV file \\(it is UTF-16"),
    ],
)
def test_recording_of_other_layout_fails_with_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "pump").mkdir()
    (tmp_path / "pump" / "0.csv").write_bytes(content)
    with pytest.raises(TrainingError, match=sentence) as caught:
        train(tmp_path)
    assert "\n" not in str(caught.value)


def test_examples_use_neither_labels_nor_test_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(10, 1, (900, 8)).astype(np.float32)
    times = np.arange(900) * 10**9
    created = []
    for later, marks in ((0.0, np.zeros(900, bool)), (50.0, np.ones(900, bool))):
        changed = values.copy()
        changed[400:] += later
        recording = Recording("valve1/7.csv", times, changed, marks)
        created.append(training_examples.from_recording(manifest(), recording, np.random.default_rng(1), 4))
    assert np.array_equal(created[0].x, created[1].x) and np.array_equal(created[0].y, created[1].y)


def test_maintenance_stop_repairs_fault() -> None:
    run = rig_recordings.simulate(1, 700, (Fault("valve", start_s=500, ramp_s=20),), (MaintenanceStop(600, 30),))
    current, flow = run.values[:, 2], run.values[:, 7]
    assert current[605:630].max() < 0.2 < current[640:].min()
    assert flow[560:600].mean() < 0.8 * flow[:500].mean() and flow[660:].mean() > 0.95 * flow[:500].mean()
    assert not run.level[:500].any() and not run.level[635:].any() and run.level[560:600].max() > 0.5


def test_sensor_fault_has_level_zero() -> None:
    assert not rig_recordings.simulate(1, 500, (Fault("sensor-stuck", start_s=100),)).level.any()


def test_simulated_pump_examples_have_model_shape() -> None:
    examples = training_examples.from_pump(manifest(), training_examples.FIRST_SEED, np.random.default_rng(0))
    assert len(examples.y) == len(examples.x) > 0
    assert examples.x.shape[1:] == (60, 16) and np.isfinite(examples.x).all()
    assert set(np.unique(examples.y)) <= {0.0, 1.0}
