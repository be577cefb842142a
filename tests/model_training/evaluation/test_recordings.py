"""Loading of recordings: interval, times, cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_training.evaluation.recordings import load

from edgeml.errors import SourceError

from .kit import write


def paced(path: Path, step_s: float) -> Path:
    """Write a recording with rows `step_s` apart."""
    write(path, 600)
    head, *lines = path.read_text().splitlines()
    start = np.datetime64("2026-01-01T00:00:00", "ms")
    times = [str(start + np.timedelta64(round(row * step_s * 1000), "ms")) for row in range(len(lines))]
    path.write_text("\n".join([head, *(time + line[line.index(";") :] for time, line in zip(times, lines, strict=True))]) + "\n")
    return path


@pytest.mark.parametrize(
    ("step_s", "evaluated"),
    [
        (0.4, False),
        (0.5, False),
        (0.52, True),
        (1.0, True),
        (1.9, True),
        (2.0, False),
        (2.5, False),
    ],
)
def test_recording_interval_may_differ_by_factor_two(tmp_path: Path, step_s: float, evaluated: bool) -> None:
    path = paced(tmp_path / "g" / "a.csv", step_s)
    if evaluated:
        assert len(load(path)) == 600
        return
    with pytest.raises(SourceError, match=f"one row every {step_s:g} s, but the model needs one every 1 s"):
        load(path)


def test_unreadable_rows_are_warnings_and_labels_stay_aligned(tmp_path: Path) -> None:
    path = write(tmp_path / "g" / "a.csv", 700, 500, 600)
    lines = path.read_text().splitlines()
    for at, line in ((100, "now" + lines[100][19:]), (300, lines[300].replace(";", ';"', 1)), (520, "1767225600" + lines[520][19:])):
        lines[at] = line
    cells = lines[550].split(";")
    lines[550] = ";".join([*cells[:3], "1_000", *cells[4:]])
    path.write_text("\n".join([*lines[:200], "", *lines[200:]]) + "\n")
    recording = load(path)
    rows = [row for row in range(700) if row not in (99, 299, 519)]
    assert recording.rows.tolist() == rows and recording.anomaly is not None
    assert np.flatnonzero(recording.anomaly).tolist() == [i for i, row in enumerate(rows) if 500 <= row < 600]
    assert np.argwhere(np.isnan(recording.values)).tolist() == [[rows.index(549), 2]]
    for words in (
        "'now' is not an ISO 8601 time",
        "a quote in it is not closed",
        "'1767225600' is not an ISO 8601 time",
        "'1_000' is no number",
    ):
        assert sum(words in warning for warning in recording.warnings) == 1
