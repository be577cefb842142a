"""The notebooks run from the first cell to the last, on synthetic recordings and reported results."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from model_training import reported_results
from model_training.anomaly.rig_recordings import Fault, simulate
from model_training.datasets.skab import COLUMNS
from model_training.evaluation import recordings
from model_training.evaluation.bundle_scoring import DetectorResult, bundle_detector

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.model.bundle import Bundle
from edgeml.timestamps import SECOND
from tests.components.alert_dispatcher.kit import T0, Bench

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "model_training" / "notebooks"
SHIPPED = ROOT / "model_training" / "bundles" / "pump_anomaly"

RUN = """
import json, pathlib, sys
names = {"__name__": "notebook"}
for cell in json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
"""
"""Runs the code cells in order in one namespace, as a kernel does."""


def run(name: str, **variables: str) -> str:
    """Run a notebook in a separate process, from its folder, and return its output."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("EDGEML_", "PYTHON"))}
    ended = subprocess.run(
        [sys.executable, "-c", RUN, f"{name}.ipynb"],
        cwd=NOTEBOOKS,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**environ, "PYTHONPATH": str(ROOT / "libs"), "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("1-explore", "EDGEML_DATA"),
        ("2-train-and-choose", "EDGEML_DATA"),
        ("3-evaluate-a-deployed-model", "EDGEML_REPORTS"),
        ("4-any-machine", "EDGEML_HISTORY"),
    ],
)
def test_notebook_without_data_names_variable(name: str, variable: str, tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("EDGEML_", "PYTHON"))}
    ended = subprocess.run(
        [sys.executable, "-c", RUN, f"{name}.ipynb"],
        cwd=NOTEBOOKS,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**environ, "PYTHONPATH": str(ROOT / "libs"), "MPLBACKEND": "agg", variable: str(tmp_path / "nowhere")},
    )
    assert (
        ended.returncode == 1
        and ended.stderr.startswith(f"{variable}: ")
        and "Set the variable to " in ended.stderr
        and str(tmp_path / "nowhere") in ended.stderr
    )
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of simulated pumps: three with a fault, one without."""
    root = tmp_path_factory.mktemp("plant")
    for name, seed, faults in (
        ("valve1/0", 1, (Fault("valve", start_s=560, ramp_s=20),)),
        ("valve1/1", 2, (Fault("imbalance", start_s=560, ramp_s=20),)),
        ("other/1", 3, (Fault("cavitation", start_s=560, ramp_s=20),)),
        ("anomaly-free/anomaly-free", 4, ()),
    ):
        created = simulate(seed, 800, faults)
        path = root / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter=";")
            marks = ("anomaly", "changepoint") if faults else ()
            writer.writerow(("datetime", *COLUMNS, *marks))
            anomaly = created.level > 0.1
            changes = np.diff(anomaly.astype(int), prepend=0) != 0
            for i, values in enumerate(created.values):
                at = datetime.fromtimestamp(T0 // SECOND + i, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
                writer.writerow((at, *values, *((float(anomaly[i]), float(changes[i])) if faults else ())))
    return root


@pytest.fixture(scope="module")
def evaluated(plant: Path) -> tuple[recordings.Recording, DetectorResult]:
    recording = recordings.load(plant / "valve1" / "0.csv")
    return recording, bundle_detector(Bundle.load(SHIPPED), options=PolicyOptions())(recording)


@pytest.fixture(scope="module")
def record(evaluated: tuple[recordings.Recording, DetectorResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Messages that the local nucleus records while AlertDispatcher, with its defaults, receives the results of that recording."""
    folder = tmp_path_factory.mktemp("record")
    bench = Bench(folder, policy={})
    confidences = [None if np.isnan(value) else float(value) for value in evaluated[1].confidence]
    for begin in range(0, len(confidences), 10):
        bench.results(confidences[begin : begin + 10], begin)
    bench.wait(5)
    path = folder / "iot-core.jsonl"
    with path.open("w") as file:
        for topic, payload in bench.bus.cloud:
            file.write(json.dumps({"at": 1.0, "topic": topic, "qos": 1, "payload": "", "text": payload.decode()}) + "\n")
    return path


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_has_no_outputs(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_each_notebook_is_listed_and_run() -> None:
    names = ["1-explore", "2-train-and-choose", "3-evaluate-a-deployed-model", "4-any-machine"]
    assert [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))] == names
    listed = (ROOT / "model_training" / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in listed for name in names)


def test_explore_notebook_runs(plant: Path) -> None:
    lines = run("1-explore", EDGEML_DATA=str(plant))
    assert re.search(r"^valve1/0 +800 +13\.3 +1 +\d+ % +1 +0$", lines, re.MULTILINE)
    assert re.search(r"^anomaly-free/anomaly-free +800 .* - +- ", lines, re.MULTILINE)


def test_deployed_model_notebook_runs(plant: Path, record: Path, evaluated: tuple[recordings.Recording, DetectorResult]) -> None:
    lines = run("3-evaluate-a-deployed-model", EDGEML_REPORTS=str(record), EDGEML_RECORDING=str(plant / "valve1" / "0.csv"))
    assert "gateway pump-1: skab 1.2.0" in lines
    assert f"alarms: {len(evaluated[1].raised)};" in lines and "no decision" in lines and ": learning" in lines
    assert "maximum difference of confidence 0.0000" in lines
    assert "another model" in lines


@pytest.mark.training
def test_training_notebook_runs(plant: Path, tmp_path: Path) -> None:
    lines = run("2-train-and-choose", EDGEML_DATA=str(plant), EDGEML_OUT=str(tmp_path), EDGEML_QUICK="1")
    assert "selected" in lines and "held-out halves: F1" in lines
    assert len(re.findall(r"^raise_at .* episodes detected", lines, re.MULTILINE)) == 2
    assert Bundle.load(tmp_path / "pump_anomaly").model


@pytest.mark.training
def test_any_machine_notebook_runs(tmp_path: Path) -> None:
    lines = run("4-any-machine", EDGEML_OUT=str(tmp_path), EDGEML_QUICK="1")
    assert "11 channels: outdoor_temperature (°C), context" in lines and "false-alarm budget" in lines
    assert re.search(r"^ +events found +1 of 1", lines, re.MULTILINE)
    assert "com.edgeml.Model.AirHandlingUnit" in lines and "scripts/edgeml demo --bundle" in lines
    assert Bundle.load(tmp_path / "models" / "air_handling_unit").manifest.explains


@pytest.mark.training
def test_any_machine_notebook_reads_a_table_of_ones_own(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    level = np.cumsum(random.normal(0, 0.02, 3000))
    readings = np.stack([level, 2 * level + random.normal(0, 0.1, 3000)], axis=1)
    readings[2800:, 1] += 3
    lines = [f"{row * 10};{a:.3f};{b:.3f}" for row, (a, b) in enumerate(readings.tolist())]
    for name, part in (("history", lines[:2400]), ("later", lines[2400:])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["seconds;pressure [bar];flow [l/min]", *part, ""]))
    (tmp_path / "spec.yaml").write_text("time: {column: seconds, format: s}\n")
    variables = {"EDGEML_HISTORY": "history.csv", "EDGEML_LATER": "later.csv", "EDGEML_SPEC": "spec.yaml", "EDGEML_OUT": "out"}
    paths = {name: str(tmp_path / value) for name, value in variables.items()}
    output = run("4-any-machine", EDGEML_QUICK="1", EDGEML_NAME="press", **paths)
    assert "2 channels: pressure (bar), flow (l/min)" in output and "com.edgeml.Model.Press" in output


def test_reported_result_holds_until_next(record: Path, evaluated: tuple[recordings.Recording, DetectorResult]) -> None:
    recording, result = evaluated
    (each,) = reported_results.read(record).results
    assert len(each.times) < len(recording) / 4, "the reports are thinned"
    held = each.report_at(recording.times)
    known = held >= 0
    raise_at = 0.9
    assert (each.verdict[held[known]] == (np.round(result.confidence.astype(float), 6) >= raise_at)[known]).all()
    assert (each.alarm[held[known]] == result.alarm[known]).all()
    counted, delays = reported_results.compare_with_labels(each, recording)
    assert sum(counted) == int((known & (recording.times <= each.times[-1])).sum())
    assert recording.anomaly is not None
    onset = int(np.flatnonzero(recording.anomaly)[0])
    assert delays == [result.raised[0] - onset]
    ran = reported_results.summary(each)
    assert ran.alarms == len(result.raised) == 1
    assert ran.hours == pytest.approx((each.times[-1] - each.times[0]) / SECOND / 3600)


def test_invalid_reports_are_skipped_with_fault(record: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    wrong = '{"type": "report", "results": [{"at": "yesterday", "verdict": "normal"}]}'
    (mixed / "a.jsonl").write_text(f"no json\n{record.read_text()}{wrong}\n")
    # A rule of IoT Core writes the message itself, without an envelope.
    (mixed / "b.jsonl").write_text("\n".join(json.loads(line)["text"] for line in record.read_text().splitlines()))
    found, alone = reported_results.read(mixed), reported_results.read(record)
    assert [fault.split(": ")[0].rsplit(":", 1)[1] for fault in found.faults] == ["1", str(len(record.read_text().splitlines()) + 2)]
    assert np.array_equal(found.results[0].times, alone.results[0].times)
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(FileNotFoundError, match=r"holds no reported results; name a record"):
        reported_results.read(tmp_path / "empty.jsonl")
