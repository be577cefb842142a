"""The same bundle on LiteRT and on tflite-runtime 2.14, and how two predictions files are compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from model_training.parity import __main__ as command
from model_training.parity.compare import compare
from model_training.parity.environment import EnvironmentFault, ready
from model_training.paths import ROOT

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"
HEAD = "group,recording,row,time,confidence,verdict,alarm"


def write(path: Path, *answers: str) -> Path:
    path.write_text("\n".join([HEAD, *(f"g,1,{row},t,{answer}" for row, answer in enumerate(answers))]) + "\n")
    return path


def test_both_runtimes_say_the_same_of_a_recording(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = shared / "data" / "skab" / "valve1" / "0.csv"
    if not recording.is_file():
        pytest.skip(f"no recording {recording}")
    try:
        ready(lambda text: None)
    except EnvironmentFault as fault:
        pytest.skip(f"no environment for tflite-runtime here: {fault}")
    (tmp_path / "valve1").mkdir()
    shutil.copy(recording, tmp_path / "valve1" / "0.csv")
    assert command.main(["--data", str(tmp_path), "--bundle", str(BUNDLE)]) == 0
    said = capsys.readouterr().out
    assert "pump_anomaly on litert and tflite-runtime: 1147 rows, 7" in said and said.endswith("passed\n")


def test_a_larger_difference_fails(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", ",0,0", *["0.5,1,1"] * 1999)
    near = compare(one, write(tmp_path / "near.csv", ",0,0", "0.48,0,1", *["0.5,1,1"] * 1998))
    assert near.passed and (near.rows, near.decided, near.verdicts_differing) == (2000, 1999, 1)
    assert near.largest == pytest.approx(0.02)
    assert not compare(one, write(tmp_path / "far.csv", ",0,0", "0.46,1,1", *["0.5,1,1"] * 1998)).passed
    assert not compare(one, write(tmp_path / "turned.csv", ",0,0", *["0.5,0,1"] * 3, *["0.5,1,1"] * 1996)).passed
    assert not compare(one, write(tmp_path / "silent.csv", ",0,0", ",0,0", *["0.5,1,1"] * 1998)).passed
    assert not compare(write(tmp_path / "none.csv", ",0,0"), write(tmp_path / "too.csv", ",0,0")).passed


def test_predictions_of_other_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="predictions of different rows"):
        compare(write(tmp_path / "one.csv", "0.5,1,1"), write(tmp_path / "two.csv", "0.5,1,1", "0.5,1,1"))


def test_without_an_old_python_it_says_which_to_install(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="wants Python 3.10 to 3.11, and none is on the path; install python3.11"):
        ready(lambda text: None, tmp_path, pythons=("no-such-python",))
