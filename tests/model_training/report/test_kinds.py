"""The README's tables of remaining life and failure types, from the reports of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_training.report import document, estimate_plots, kinds

METRICS = {"rmse": 10.2, "mae": 8.0, "r2": 0.9, "calibration_error": 0.004}


def figures(seed: int, rmse: float) -> dict[str, Any]:
    methods = ("int8", "boosted", "null")
    return {
        "kind": "regression",
        "name": "engine_life",
        "unit": "cycles",
        "grouped": True,
        "condition": "less than 30 cycles",
        "shipped": "int8",
        "data": {"partial": True, "sha256": "ab" * 32},
        "seed": seed,
        "cross_validation": dict.fromkeys(methods, METRICS),
        "interval": {"stated": 0.9, "held_out": 0.912, "mean_width": 30.0},
        "test": {name: {"rmse": rmse, "rmse_rows": 11.0, "units": 50} for name in methods},
        "bundles": {"int8": {"bytes": 500, "sha256": "cd" * 32}},
    }


def write(folder: Path, seed: int, rmse: float) -> None:
    (folder / "engine_life-report").mkdir(parents=True)
    (folder / "engine_life-report" / "figures.json").write_text(json.dumps(figures(seed, rmse)))


README = "# A\n<!-- engine_life: begin -->\nold\n<!-- engine_life: end -->\nrest\n"


def test_kind_tables_replace_marked_text(tmp_path: Path) -> None:
    write(tmp_path, 7, 12.346)
    readme = tmp_path / "README.md"
    readme.write_text(README)
    assert kinds.main([str(tmp_path), str(readme)]) == 0
    text = readme.read_text()
    assert "old" not in text and text.startswith("# A\n") and text.endswith("<!-- engine_life: end -->\nrest\n")
    assert "| network, int8 | 10.20 | 8.00 | 0.900 | 0.004 | 12.35 | 11.00 | - | 500 |" in text
    assert "Seed 7; int8 `cdcdcdcdcdcdcdcd…`; data partial" in text and "| 7 | 90% | 91.2% | - | 30.0 |" in text
    again = readme.read_text()
    assert kinds.main([str(tmp_path), str(readme)]) == 0 and readme.read_text() == again


def test_tables_of_several_seeds_have_mean_and_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, rmse in ((1, 11.0), (2, 12.0)):
        write(tmp_path / str(seed), seed, rmse)
    assert kinds.main([str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "Seeds 1, 2; int8" in output and "| 11.50 ± 0.50 |" in output


def test_missing_report_and_marker_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kinds.main([str(tmp_path)]) == 1
    assert "edgeml model train regression" in capsys.readouterr().err
    with pytest.raises(ValueError, match="engine_life: begin"):
        document.replace("# no marks\n", "engine_life", "table")
    with pytest.raises(ValueError, match="engine_life: begin"):
        document.replace("<!-- engine_life: end -->\n<!-- engine_life: begin -->\n", "engine_life", "table")


def test_estimate_plots_are_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    true, output = np.array([10.0, 50.0, 125.0]), np.array([12.0, np.nan, 120.0])
    drawn = estimate_plots.scatter(tmp_path / "a.png", "engines", true, output, "left", "said")
    course = (np.arange(3), true[::-1], output)
    many = estimate_plots.courses(tmp_path / "b.png", "courses", {str(i): course for i in range(4)}, "cycle", "left")
    assert drawn.read_bytes()[:4] == many.read_bytes()[:4] == b"\x89PNG"
