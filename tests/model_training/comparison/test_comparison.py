"""The comparison of methods: small sets of known content, without TensorFlow."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from model_training.comparison import __main__ as command
from model_training.comparison import methods, outcome, public_sets, report, results, textbook
from model_training.comparison.outcome import SIZES, Outcome
from model_training.machine.budget import Budget

PCA, CHART, EWMA = "PCA, T² and Q", "control chart per channel", "EWMA chart per channel"


def tables(folder: Path, rows: int = 600, fault_at: int = 160) -> Path:
    """A folder like TEP's: rows of three channels that move together, one table without and one with a fault."""
    random = np.random.default_rng(1)
    (folder / "tep").mkdir()
    for name, fault in (("normal_1", False), ("normal_2", False), ("fault_01", True)):
        common = random.standard_normal((rows, 1))
        values = common @ np.array([[1.0, 2.0, -1.0]]) + 0.3 * random.standard_normal((rows, 3))
        label = np.zeros(rows, int)
        if fault:
            values[fault_at:, 1] += 15
            label[fault_at:] = 1
        lines = ["time,a,b,c,fault" if fault else "time,a,b,c"]
        for row in range(rows):
            cells = [f"2026-01-{1 + row // 1440:02}T{row // 60 % 24:02}:{row % 60:02}:00Z", *(f"{each:.5f}" for each in values[row])]
            lines.append(",".join([*cells, str(label[row])] if fault else cells))
        (folder / "tep" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_methods_find_a_fault_and_keep_the_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result.json"
    arguments = ["--data", str(tables(tmp_path)), "--json", str(out), *(f"--method={name}" for name in (CHART, EWMA, PCA))]
    assert command.main(arguments) == 0
    found = json.loads(out.read_text())["sets"]["tep"]
    assert list(found) == [CHART, EWMA, PCA]
    for by_machine in found.values():
        (only,) = by_machine.values()
        assert len(only["delays"]) == 1 and only["delays"][0] <= 3
        assert only["alarms"] <= 2 and only["steps"] == outcome.TRIALS
        assert only["found"][0] <= 1 and only["found"] == sorted(only["found"])
    assert f"| {PCA} |" in capsys.readouterr().out


def test_results_of_other_methods_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, first, second = str(tables(tmp_path)), tmp_path / "first.json", tmp_path / "second.json"
    document = tmp_path / "page.md"
    document.write_text(f"before\n<!-- {report.NAME}: begin -->\n<!-- {report.NAME}: end -->\nafter\n")
    assert command.main(["--data", data, "--method", PCA, "--json", str(first)]) == 0
    arguments = ["--data", data, "--method", CHART, "--others", str(first), "--json", str(second), "--document", str(document)]
    assert command.main(arguments) == 0
    assert list(results.read(second).sets["tep"]) == [CHART, PCA]
    assert f"| {CHART} |" in document.read_text() and document.read_text().endswith("after\n")
    capsys.readouterr()
    assert command.main(["--data", data, "--method", CHART, "--others", str(first), "--seed", "2"]) == 1
    assert "run all methods again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "nowhere"], "nowhere has none of the folders skab, tep, nab; name the folder that contains them"),
        (["--data", "nowhere", "--budget", "now and then"], "`1 per week`"),
        (["--data", "nowhere", "--others", "nothing.json"], "nothing.json is no result of a comparison"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and len(error.splitlines()) == 1


def test_a_document_without_markers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert command.main(["--data", str(tables(tmp_path)), "--method", CHART, "--document", str(page)]) == 1
    assert "no line <!-- comparison: begin -->" in capsys.readouterr().err


def test_steps_lie_in_normal_rows_and_are_the_same_for_every_method(tmp_path: Path) -> None:
    (case,) = public_sets.load(tables(tmp_path))["tep"]
    steps = outcome.place_steps(case, 1)
    before = outcome.rows_before(case)
    for step in steps:
        assert step.recording.normal()[step.begin - before : step.begin + outcome.WITHIN].all()
    assert [(step.begin, step.channel, step.size) for step in steps] == [
        (step.begin, step.channel, step.size) for step in outcome.place_steps(case, 1)
    ]


def test_missing_values_are_filled_for_the_textbook_methods(tmp_path: Path) -> None:
    (case,) = public_sets.load(tables(tmp_path))["tep"]
    detector = methods.METHODS[PCA](case.history, Budget.parse("1 per week"), 1)
    values = case.measured[0].values.copy()
    values[100:120, 0] = np.nan
    assert np.isfinite(detector.confidences(case.measured[0].times, values)).all()


def test_pca_of_one_channel_has_no_residual() -> None:
    normal = np.random.default_rng(1).standard_normal((300, 1))
    scores = textbook.pca([normal])(np.array([[0.0], [5.0]]))
    assert scores.shape == (2, 1) and scores[1, 0] > 20 > scores[0, 0]


def test_totals_are_sums() -> None:
    one = Outcome(100, 5, 1, 0.5, (3.0,), 2, (0, 1, 2, 2))
    both = outcome.total([one, Outcome(50, 0, 0, 0.25, (math.inf,), 1, (0, 0, 0, 1))])
    assert both == Outcome(150, 5, 1, 0.75, (3.0, math.inf), 3, (0, 1, 2, 3))
    assert len(both.found) == len(SIZES)
