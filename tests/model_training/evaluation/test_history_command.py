"""`edgeml model evaluate` on recordings of any layout: predictions, figures, report, and errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from model_training.component_path import ROOT
from model_training.evaluation import injection
from model_training.evaluation.__main__ import main
from model_training.evaluation.history_data import unit_text

from edgeml.model.bundle import Bundle, save
from edgeml.model.manifest import Channel
from tests.model_training.evaluation.kit import NORMAL, write
from tests.model_training.history.kit import START, iso, moments

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"
NAMES = tuple(f"c{number}" for number in range(8))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pump's model under other names of channels, for a row in ten seconds, with a policy."""
    bundle = Bundle.load(BUNDLE)
    manifest = msgspec.structs.replace(
        bundle.manifest,
        name="machine",
        channels=tuple(Channel(name=name, unit="bar" if name == "c3" else "") for name in NAMES),
        interval_s=10.0,
        longest_gap_s=50.0,
        stopped=None,
        format=2,
        policy={"raise_at": 0.8, "hold_s": 50.0, "clear_hold_s": 100.0, "cooldown_s": 600.0},
    )
    folder = tmp_path_factory.mktemp("bundles") / "machine"
    save(folder, manifest, bundle.model)
    return folder


def recording(path: Path, rows: int = 900, fault: tuple[int, int] = (0, 0), step_s: float = 10.0, seed: int = 0, **more: Any) -> Path:
    """A table of eight channels; the last one falls by half in the rows of the fault."""
    rng = np.random.default_rng(seed)
    lines = [",".join(("stamp", *more.get("names", NAMES), *(["label"] if more.get("labels") else [])))]
    for row, moment in enumerate(moments(rows, step_s)):
        values = np.array(NORMAL) * (1 + 0.02 * rng.standard_normal(8))
        values[-1] *= 0.5 if fault[0] <= row < fault[1] else 1.0
        lines.append(
            ",".join(
                (
                    iso(moment),
                    *(f"{value:.6g}" for value in values),
                    *([str(int(fault[0] <= row < fault[1]))] if more.get("labels") else []),
                )
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def evaluate(bundle: Path, *arguments: object) -> int:
    return main(["--bundle", str(bundle), "--data", *map(str, arguments)])


def predicted(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def summary(output: str) -> dict[str, Any]:
    return dict(json.loads(output.splitlines()[-1]))


def test_predictions_have_a_line_for_each_row(machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, folder = recording(tmp_path / "one.csv", fault=(600, 800)), tmp_path / "folder"
    recording(folder / "north" / "two.csv", 700, seed=1)
    lines = one.read_text().splitlines()
    one.write_text("\n".join([*lines[:500], lines[499], *lines[500:]]))  # a row twice
    out = tmp_path / "made" / "p.csv"
    assert evaluate(machine, one, folder, "--predictions", out) == 0
    rows = predicted(out)
    assert list(rows[0]) == ["file", "row", "time", "confidence", "verdict", "alarm"]
    own = [row for row in rows if row["file"] == str(one)]
    assert [int(row["row"]) for row in own] == list(range(901)) and {row["file"] for row in rows} == {str(one), "north/two.csv"}
    assert own[0]["time"] == iso(START) and own[498]["time"] == own[499]["time"]
    assert own[499]["confidence"] == "" and own[300]["confidence"] == "" and float(own[700]["confidence"]) > 0.8
    assert {(row["verdict"], row["alarm"]) for row in own} <= {("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")}
    level = Bundle.load(BUNDLE).manifest.verdict_level
    assert all(row["verdict"] == str(int(bool(row["confidence"]) and float(row["confidence"]) >= level)) for row in rows)
    alarms = [int(row["row"]) for row in own if row["alarm"] == "1"]
    assert 601 < alarms[0] < 640 and not any(row["alarm"] == "1" for row in rows if row["file"] != str(one))
    output = capsys.readouterr().out
    assert "dropped 1 row with the time of another row" in output and "time column 'stamp'" in output
    assert summary(output)["predictions"] == str(out) and summary(output)["alarms"] == 1


def test_policy_is_that_of_the_manifest(machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With AlertDispatcher's hold of 5 s the alarm would be raised by the third positive result."""
    file, out = recording(tmp_path / "a.csv", fault=(600, 800)), tmp_path / "p.csv"
    assert evaluate(machine, file, "--predictions", out) == 0
    rows = predicted(out)
    first = next(at for at, row in enumerate(rows) if row["confidence"] and float(row["confidence"]) >= 0.8)
    assert next(at for at, row in enumerate(rows) if row["alarm"] == "1") >= first + 2 + 5
    assert "policy: raised at 0.8 in 3 of 5 results for 50 s" in capsys.readouterr().out


def test_labels_and_events_give_the_figures_of_detection(machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled, plain = recording(tmp_path / "a.csv", fault=(600, 800), labels=True), recording(tmp_path / "b.csv", fault=(600, 800), seed=1)
    assert evaluate(machine, labelled, "--result", tmp_path / "r.json") == 0
    found = summary(capsys.readouterr().out)
    assert (found["events"], found["found"], found["false_alarms"]) == (1, 1, 0) and found["f1"] > 0.5
    assert found["normal_rows"] == 900 - 400 - 200 and found["found_share"] == [1.0, pytest.approx(0.025), 1.0]
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["bundles"][0]["figures"]["delay_median_rows"] == found["delay_median_rows"]
    times = [iso(moment) for moment in moments(900, 10)]
    (tmp_path / "windows.json").write_text(json.dumps({"b.csv": [[times[600], times[799]]]}))
    assert evaluate(machine, plain, "--events", tmp_path / "windows.json") == 0
    windows = summary(capsys.readouterr().out)
    assert windows["found"] == 1 and windows["f1"] is None and windows["normal_rows"] == 300
    assert evaluate(machine, plain) == 0
    bare = summary(capsys.readouterr().out)
    assert bare["events"] == 0 and bare["false_alarms"] == bare["alarms"] == 1 and bare["false_alarms_per_week"][0] > 0


def test_spec_maps_columns_to_the_channels(machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(tmp_path / "a.csv", names=tuple(f"X{number}" for number in range(8)))
    assert evaluate(machine, file) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "does not have the channels of the model: no 'c0', 'c1'" in error and "the file has 'stamp', 'X0'" in error
    spec = tmp_path / "spec.yaml"
    spec.write_text("channels:\n" + "".join(f"  c{number}: {{column: X{number}}}\n" for number in range(8)))
    assert evaluate(machine, file, "--spec", spec) == 0


def test_pump_model_reads_files_of_the_known_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "valve1" / "0.csv", 900, 600, 800)
    assert main(["--bundle", str(BUNDLE), "--data", str(tmp_path), "--predictions", str(tmp_path / "a.csv"), "--no-audits"]) == 0
    benchmark = summary(capsys.readouterr().out)
    assert evaluate(BUNDLE, file, "--predictions", tmp_path / "b.csv") == 0
    own = summary(capsys.readouterr().out)
    keys = ("row", "time", "confidence", "verdict", "alarm")
    assert [[row[key] for key in keys] for row in predicted(tmp_path / "a.csv")] == [
        [row[key] for key in keys] for row in predicted(tmp_path / "b.csv")
    ]
    assert predicted(tmp_path / "a.csv")[0]["file"] == "valve1/0.csv" and own["f1"] == benchmark["f1"]


@pytest.mark.parametrize(
    ("make", "arguments", "sentence"),
    [
        (lambda p: recording(p, step_s=60), (), "has one row every 60 s, model machine needs one every 10 s; resample the data"),
        (
            lambda p: recording(p, names=("c0", "c1", "c2", "c3 (kPa)", *NAMES[4:])),
            (),
            "has channel 'c3' in kPa, model machine needs it in bar",
        ),
        (recording, ("--baselines",), "--baselines needs a folder in the layout of SKAB"),
        (recording, ("--levels", "0.5"), "--levels needs a folder in the layout of SKAB"),
        (recording, ("--spec", "none.yaml"), "none.yaml cannot be read"),
        (recording, ("--events", "none.json"), "none.json cannot be read"),
        (lambda p: p, (), "cannot be read (No such file or directory)"),
    ],
)
def test_bad_input_fails_with_one_sentence(
    machine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], Path],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    assert evaluate(machine, make(tmp_path / "a.csv"), *arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("evaluate: [")]
    assert len(lines) == 1 and sentence in lines[0] and lines[0].startswith("edgeml model evaluate: ")


def test_report_has_a_card_and_plots(machine: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = [recording(tmp_path / "a.csv", fault=(600, 800), labels=True), recording(tmp_path / "b.csv", 3_000, seed=1)]
    assert evaluate(machine, *files, "--report", tmp_path / "report") == 0
    card = (tmp_path / "report" / "card.md").read_text(encoding="utf-8")
    assert "| events found | 1 of 1" in card and "| c7 |" in card.split("## Alarms")[1]
    pictures = sorted((tmp_path / "report").glob("recording-*.png"))
    assert len(pictures) == 2 and all(f"({picture.name})" in card and picture.stat().st_size > 20_000 for picture in pictures)


def test_injected_faults_are_in_the_output_and_the_card(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(injection, "table", partial(injection.table, trials=2, length=32))
    file = recording(tmp_path / "a.csv", 800)
    assert evaluate(machine, file, "--inject", "--report", tmp_path / "report") == 0
    output = capsys.readouterr().out
    null = next(row for row in summary(output)["injected"] if row["size"] == 0)
    assert null["trials"] > 0 and "relation broken" in output
    assert "| relation broken |" in (tmp_path / "report" / "card.md").read_text(encoding="utf-8")


def test_units_have_one_spelling() -> None:
    assert unit_text("degC") == unit_text("°C") and unit_text("l / min") == unit_text("L/min") and unit_text("bar") != unit_text("kPa")
