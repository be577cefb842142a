"""`edgeml model evaluate` on synthetic recordings and the shipped bundle: its output, and its errors for invalid input."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_training.component_path import ROOT
from model_training.evaluation.__main__ import main
from model_training.evaluation.recordings import find, load

from edgeml.errors import SourceError
from edgeml.model.bundle import Bundle
from tests.model_training.evaluation.kit import write

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"


def evaluate(data: Path, *arguments: str) -> int:
    return main(["--data", str(data), "--bundle", str(BUNDLE), *arguments])


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_evaluation_writes_predictions_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, predictions, result = tmp_path / "data", tmp_path / "out" / "p.csv", tmp_path / "out" / "r.json"
    write(data / "valve1" / "0.csv", 900, 600, 800)
    write(data / "mine" / "run 7.csv", 700, labels=False, seed=1)
    write(data / "anomaly-free" / "x.csv", 3600, labels=False, seed=2)
    assert evaluate(data, "--predictions", str(predictions), "--result", str(result)) == 0
    rows = lines(predictions)
    assert list(rows[0]) == ["file", "row", "time", "confidence", "verdict", "alarm"]
    counts = Counter(row["file"] for row in rows)
    assert counts == {"mine/run 7.csv": 700, "valve1/0.csv": 900, "anomaly-free/x.csv": 3600}
    own = [row for row in rows if row["file"] == "valve1/0.csv"]
    assert [int(row["row"]) for row in own] == list(range(900))
    assert {row["confidence"] for row in own[:400]} == {""} and all(row["confidence"] for row in own[400:])
    level = Bundle.load(BUNDLE).manifest.verdict_level
    assert all(row["verdict"] == str(int(bool(row["confidence"]) and float(row["confidence"]) >= level)) for row in rows)
    assert any(row["alarm"] == "1" for row in own[600:800]) and not any(row["alarm"] == "1" for row in own[:600])

    result = json.loads(result.read_text())
    bundle = result["bundles"][0]
    assert bundle["figures"]["recordings"] == 1 and bundle["figures"]["normal_rows"] == 750
    assert {audit["name"] for audit in bundle["audits"]} >= {"shifted", "rescaled", "without an anomaly"}
    assert len(result["cross_validation"]["seeds"]) == 1
    piece = [row for row in rows if row["file"] == "anomaly-free/x.csv" and 2750 <= int(row["row"]) < 3500]
    share = sum(row["verdict"] == "1" for row in piece) / len(piece)
    assert share == pytest.approx(bundle["figures"]["normal_false_alarm_rate"])
    text = capsys.readouterr()
    assert "run 7.csv: no column 'anomaly'" in text.err
    for figure in ("F1", "missed-alarm rate", "NAB", "normal running", "p90", "false alarms per hour", "calibration error", "no decision"):
        assert figure in text.out


def test_evaluation_compares_bundles_and_quantisation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    for number in range(2):
        write(data / "valve1" / f"{number}.csv", 900, 600, 800, seed=number)
    other = tmp_path / "pump_anomaly-float32"
    other.mkdir()
    for file in BUNDLE.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["provenance"]["weights"] = "float32"
    (other / "manifest.json").write_text(json.dumps(manifest))
    result = tmp_path / "r.json"
    assert evaluate(data, "--bundle", str(other), "--no-audits", "--levels", "0.5,0.9", "--result", str(result)) == 0
    result = json.loads(result.read_text())
    assert (result["cross_validation"]["candidates"], result["quantised"][0]["f1_loss"]) == (2, 0)
    assert "int8 against float32" in capsys.readouterr().out


def drop(path: Path, column: str) -> None:
    rows = [line.split(";") for line in path.read_text().splitlines()]
    place = rows[0].index(column)
    path.write_text("\n".join(";".join(cells[:place] + cells[place + 1 :]) for cells in rows) + "\n")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: drop(path, "Current"), "no column 'Current'"),
        (lambda path: write(path, 700, step=10), "one row every 10 s, but the model needs one every 1 s; resample"),
        (lambda path: path.write_text(""), "is empty; copy the file again"),
        (lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"), "has no rows"),
        (lambda path: write(path, 400), "400 rows leave no test rows after the 400 baseline rows"),
        (lambda path: path.write_bytes(bytes(range(256)) * 40), "no column"),
    ],
)
def test_unusable_recording_is_skipped_with_one_sentence(
    tmp_path: Path,
    spoil: Callable[[Path], object],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "valve1" / "0.csv", 700, 500, 600)
    bad = write(tmp_path / "valve1" / "1.csv", 700)
    spoil(bad)
    assert evaluate(tmp_path, "--no-audits") == 0
    result = capsys.readouterr()
    evaluated = [line for line in result.err.splitlines() if "1.csv" in line]
    assert len(evaluated) == 1 and sentence in evaluated[0]
    assert "1 file skipped" in result.out
    (tmp_path / "valve1" / "0.csv").unlink()
    assert evaluate(tmp_path, "--no-audits") == 1
    assert sentence in capsys.readouterr().err


def test_baseline_labels_are_warned_about(tmp_path: Path) -> None:
    write(tmp_path / "valve1" / "0.csv", 700, 350, 500)
    assert [warning.split(": ", 1)[1] for warning in find(tmp_path).warnings] == [
        "50 of the 400 baseline rows are labelled anomalous; its baseline is not normal, and its rows must not train as normal rows"
    ]


def test_empty_folder_and_invalid_bundle_fail_with_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(tmp_path) == 1
    assert "has no files that end in .csv" in capsys.readouterr().err
    with pytest.raises(SourceError, match="no such folder"):
        find(tmp_path / "nowhere")
    write(tmp_path / "valve1" / "0.csv", 700)
    assert main(["--data", str(tmp_path), "--bundle", str(tmp_path)]) == 1
    assert "manifest.json: cannot be read" in capsys.readouterr().err


def test_labels_stay_aligned_with_untimed_and_blank_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "valve1" / "0.csv", 700, 500, 600)
    text = path.read_text().splitlines()
    text[451] = "yesterday" + text[451][19:]
    text.insert(301, "")
    path.write_text("\n".join(text) + "\n")
    recording = load(path)
    assert len(recording) == 699 and len(recording.texts) == 700
    assert recording.rows.tolist() == [row for row in range(700) if row != 450]
    assert recording.anomaly is not None
    assert recording.rows[np.flatnonzero(recording.anomaly)].tolist() == list(range(500, 600))
    predictions = tmp_path / "p.csv"
    assert evaluate(tmp_path, "--no-audits", "--predictions", str(predictions)) == 0
    rows = lines(predictions)
    assert len(rows) == 700 and (rows[450]["time"], rows[450]["confidence"]) == ("yesterday", "")
