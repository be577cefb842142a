"""The README's tables of remaining life and failure types, from the reports of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_training.report import document, kinds, life_plots

FIGURES: dict[str, Any] = {
    "data": {"partial": True, "sha256": "ab" * 32},
    "seed": 7,
    "test": {
        "int8": {
            "rmse": 12.346,
            "rmse_rows": 11.0,
            "engines": 50,
            "nasa": 99.6,
            "calibration_error": 0.02,
            "bytes": 500,
            "sha256": "cd" * 32,
        },
        "float32": {"rmse": 12.0, "rmse_rows": 11.0, "nasa": 98.0, "calibration_error": 0.02, "bytes": 900, "sha256": "ef" * 32},
        "baseline": {"rmse": 14.18, "rmse_rows": 15.0},
    },
    "cross_validation": {"engines": 100, "rmse_rows_network": 10.2, "rmse_rows_baseline": 14.8, "calibration_error": 0.004},
}
README = "# A\n<!-- engine_life: begin -->\nold\n<!-- engine_life: end -->\nrest\n"


def test_kind_tables_replace_marked_text(tmp_path: Path) -> None:
    (tmp_path / "engine_life-report").mkdir()
    (tmp_path / "engine_life-report" / "figures.json").write_text(json.dumps(FIGURES))
    readme = tmp_path / "README.md"
    readme.write_text(README)
    assert kinds.main([str(tmp_path), str(readme)]) == 0
    text = readme.read_text()
    assert "old" not in text and text.startswith("# A\n") and text.endswith("<!-- engine_life: end -->\nrest\n")
    assert "| 12.35 | 12.00 | 14.18 | ≤ 14, aim 12 |" in text and "data partial" in text and "Seed 7" in text
    again = readme.read_text()
    assert kinds.main([str(tmp_path), str(readme)]) == 0 and readme.read_text() == again


def test_missing_report_and_marker_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kinds.main([str(tmp_path)]) == 1
    assert "edgeml model train regression" in capsys.readouterr().err
    with pytest.raises(ValueError, match="engine_life: begin"):
        document.replace("# no marks\n", "engine_life", "table")
    with pytest.raises(ValueError, match="engine_life: begin"):
        document.replace("<!-- engine_life: end -->\n<!-- engine_life: begin -->\n", "engine_life", "table")


def test_life_plots_are_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    true, output = np.array([10.0, 50.0, 125.0]), np.array([12.0, np.nan, 120.0])
    drawn = life_plots.scatter(tmp_path / "a.png", "engines", true, output, "left", "said")
    course = (np.arange(3), true[::-1], output)
    many = life_plots.courses(tmp_path / "b.png", "courses", {str(i): course for i in range(4)}, "cycle", "left")
    assert drawn.read_bytes()[:4] == many.read_bytes()[:4] == b"\x89PNG"
