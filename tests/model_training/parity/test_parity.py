"""One bundle on LiteRT and on tflite-runtime 2.14, and the comparison of predictions files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from model_training.component_path import ROOT
from model_training.parity import __main__ as command
from model_training.parity.compare import CROSS_ARCHITECTURE, compare
from model_training.parity.environment import EnvironmentSetupError, ensure_environment
from model_training.report import parity as table

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"
HEAD = "file,row,time,confidence,verdict,alarm"


def write(path: Path, *answers: str) -> Path:
    path.write_text("\n".join([HEAD, *(f"g/1.csv,{row},t,{answer}" for row, answer in enumerate(answers))]) + "\n")
    return path


@pytest.mark.slow("starts a process for each runtime")
def test_runtimes_agree_on_recording(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = shared / "data" / "skab" / "valve1" / "0.csv"
    if not recording.is_file():
        pytest.skip(f"no recording {recording}")
    try:
        ensure_environment(lambda text: None)
    except EnvironmentSetupError as fault:
        pytest.skip(f"no environment for tflite-runtime here: {fault}")
    (tmp_path / "valve1").mkdir()
    shutil.copy(recording, tmp_path / "valve1" / "0.csv")
    assert command.main(["--data", str(tmp_path), "--bundle", str(BUNDLE)]) == 0
    output = capsys.readouterr().out
    assert ") and tflite-runtime (" in output and ": 1147 rows, 7" in output and output.endswith("passed\n")


def test_parity_fails_beyond_bounds(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", ",0,0", *["0.5,1,1"] * 1999)
    near = compare(one, write(tmp_path / "near.csv", ",0,0", "0.48,0,1", *["0.5,1,1"] * 1998))
    assert near.passed and (near.rows, near.decided, near.verdicts_differing) == (2000, 1999, 1)
    assert near.largest == pytest.approx(0.02)
    assert not compare(one, write(tmp_path / "far.csv", ",0,0", "0.46,1,1", *["0.5,1,1"] * 1998)).passed
    assert not compare(one, write(tmp_path / "turned.csv", ",0,0", *["0.5,0,1"] * 3, *["0.5,1,1"] * 1996)).passed
    assert not compare(one, write(tmp_path / "silent.csv", ",0,0", ",0,0", *["0.5,1,1"] * 1998)).passed
    assert not compare(write(tmp_path / "none.csv", ",0,0"), write(tmp_path / "too.csv", ",0,0")).passed


def test_parity_across_architectures_has_wider_bounds(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", "0.69,0,0", *["0.5,1,1"] * 999)
    other = write(tmp_path / "other.csv", "0.73,1,0", *["0.5,1,1"] * 999)
    across = compare(one, other, CROSS_ARCHITECTURE, (0.3, 0.7))
    assert across.passed and not compare(one, other).passed
    assert across.level_crossings == {0.3: 0, 0.7: 1} and across.mean == pytest.approx(0.04 / 1000)
    assert not compare(one, write(tmp_path / "far.csv", "0.75,1,0", *["0.5,1,1"] * 999), CROSS_ARCHITECTURE).passed


def test_parity_table_replaces_marked_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parity = compare(
        write(tmp_path / "a.csv", "0.69,0,0", "0.5,1,1"), write(tmp_path / "b.csv", "0.73,1,0", "0.5,1,1"), CROSS_ARCHITECTURE, (0.3, 0.7)
    )
    run, card = tmp_path / "run.json", tmp_path / "card.md"
    compared = [{"engine": "litert", "machine": "aarch64"} | parity.plain()]
    run.write_text(json.dumps({"name": "m", "version": "1", "digest": "ab" * 32, "here": "x86_64", "compared": compared}))
    card.write_text("before\n<!-- parity: begin -->\nold\n<!-- parity: end -->\nafter\n")
    assert table.main([str(run), str(card)]) == 0
    output = card.read_text()
    assert "| litert, aarch64 | 0.0400 | 0.0396 | 0.02000 | 0, 1 | 0 |" in output and "old" not in output
    assert output.startswith("before\n") and output.endswith("after\n")
    card.write_text("no marks")
    assert table.main([str(run), str(card)]) == 1 and "parity: begin" in capsys.readouterr().err


def test_parity_rejects_predictions_of_other_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="predictions of different rows"):
        compare(write(tmp_path / "one.csv", "0.5,1,1"), write(tmp_path / "two.csv", "0.5,1,1", "0.5,1,1"))


def test_environment_names_python_to_install(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentSetupError, match="needs Python 3.10 to 3.11, but none is on the path; install python3.11"):
        ensure_environment(lambda text: None, tmp_path, pythons=("no-such-python",))
