"""Bad input of `edgeml model train machine`: one sentence with the place and the remedy, and no bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from model_training import train

ROWS = 300


def write(path: Path, columns: dict[str, Sequence[object]]) -> Path:
    lines = [",".join(columns), *(",".join(str(cell) for cell in row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def times(rows: int = ROWS) -> list[str]:
    start = np.datetime64("2026-01-05T00:00:00")
    return [f"{start + np.timedelta64(60 * row, 's')}Z" for row in range(rows)]


def numbers(seed: int = 1, rows: int = ROWS) -> list[float]:
    return [round(float(value), 4) for value in np.random.default_rng(seed).normal(20, 2, rows)]


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    """Run the command, and return its only line on standard error."""
    code = train.main(["machine", "--out", str(folder / "out"), "--key", str(key(folder)), *arguments], {})
    out, err = capsys.readouterr()
    assert code in (1, 2) and err.count("\n") == 1 and err.startswith("edgeml model train: "), err
    assert not (folder / "out").exists() or not list((folder / "out").iterdir())
    return err.removeprefix("edgeml model train: ")


def key(folder: Path) -> Path:
    from edgeml.model.signature import make_key

    path = folder / "bundle.key"
    if not path.exists():
        make_key(path)
    return path


CASES: dict[str, tuple[dict[str, Sequence[object]], str]] = {
    "no time column": ({"a": numbers(1), "b": numbers(2)}, "time"),
    "two time columns": ({"time": times(), "logged": times(), "a": numbers()}, "time"),
    "time in two forms": ({"time": [*times(150), *range(1_700_000_000, 1_700_009_000, 60)], "a": numbers()}, "time"),
    "text in a channel": ({"time": times(), "a": [*numbers(rows=299), "broken"], "b": numbers(2)}, "broken"),
    "only a constant channel": ({"time": times(), "a": [3.5] * ROWS}, "constant"),
    "too few rows": ({"time": times(100), "a": numbers(rows=100)}, "100 rows of normal running"),
    "too few rows for many channels": (
        {"time": times(), **{f"c{n}": numbers(n) for n in range(9)}},
        "too few for 9 channels; at least 400",
    ),
    "all rows are faults": ({"time": times(), "a": numbers(), "label": [1] * ROWS}, "marked as faults"),
}


@pytest.mark.parametrize("case", CASES)
def test_table_that_cannot_train_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns, part = CASES[case]
    file = write(tmp_path / "history.csv", columns)
    sentence = refused(capsys, tmp_path, "--name", "m", "--data", str(file))
    assert part in sentence and "history.csv" in sentence, sentence


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--name", "m", "--budget", "seldom"), "--budget 'seldom' cannot be read; write a number per time"),
        (("--name", "m", "--budget", "0 per week"), "allows no alarm at all; write a number above 0"),
        (("--name", "m", "--budget", "9999 per minute"), "is one alarm in 0.0001 rows; write one in at least 16 rows"),
        (("--name", "../m"), "--name '../m' is not a model's name; write letters"),
        ((), "--name"),
    ],
)
def test_option_that_is_wrong_is_refused(arguments: tuple[str, ...], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "history.csv", {"time": times(), "a": numbers()})
    assert part in refused(capsys, tmp_path, "--data", str(file), *arguments)


def test_spec_in_which_all_channels_are_context_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "history.csv", {"time": times(), "a": numbers()})
    spec = tmp_path / "spec.yaml"
    spec.write_text("roles: {a: context}\n", encoding="utf-8")
    sentence = refused(capsys, tmp_path, "--name", "m", "--data", str(file), "--spec", str(spec))
    assert "all channels are context, and none can be a fault" in sentence


def test_file_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none.csv" in refused(capsys, tmp_path, "--name", "m", "--data", str(tmp_path / "none.csv"))
