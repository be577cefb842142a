"""The report of an evaluation: card, plots, and the README's tables."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from model_training.component_path import ROOT
from model_training.evaluation import result_json
from model_training.evaluation.recordings import find
from model_training.evaluation.run import evaluate
from model_training.report import tables

from edgeml.model.bundle import Bundle
from tests.model_training.evaluation.kit import write

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number in range(2):
        write(folder / "valve1" / f"{number}.csv", 800, 500, 700, seed=number)
    write(folder / "anomaly-free" / "x.csv", 1200, labels=False, seed=9)
    return folder


def test_report_has_card_plots_and_figures(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots want matplotlib, which is in the extra `test`")
    from model_training.report import anomaly

    bundle = Bundle.load(BUNDLE)
    result, evaluated = evaluate([bundle], find(data), data, (), False, lambda output: None)
    card = anomaly.write(tmp_path, result, evaluated).read_text()
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {
        "card.md",
        "figures.json",
        "delays.png",
        "recordings.png",
        "reliability.png",
        "recording-valve1-0.png",
        "recording-valve1-1.png",
    }
    assert all(f"({name})" in card for name in files if name.endswith(".png"))
    assert all((tmp_path / name).read_bytes()[:4] == b"\x89PNG" for name in files if name.endswith(".png"))
    assert f"| F1 | {result['cross_validation']['mean']['f1']:.3f} |" in card and bundle.digest in card
    assert str(data) not in card
    assert (
        result_json.from_json((tmp_path / "figures.json").read_text())["bundles"][0]["figures"]["f1"]
        == result["bundles"][0]["figures"]["f1"]
    )


def test_tables_replace_marked_text(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, _ = evaluate([Bundle.load(BUNDLE)], find(data), data, (), True, lambda output: None)
    run, document = tmp_path / "run.json", tmp_path / "README.md"
    run.write_text(result_json.to_json(result))
    document.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    assert tables.main([str(run), str(document)]) == 0
    output = document.read_text()
    assert output.startswith("before\n") and output.endswith("after\n") and "old" not in output
    assert f"| F1 | {result['cross_validation']['mean']['f1']:.3f} |" in output and "change of F1, shifted" in output
    document.write_text("no marks")
    assert tables.main([str(run), str(document)]) == 1
    assert "add both where the tables belong" in capsys.readouterr().err


def test_json_encodes_nan_and_infinity() -> None:
    there = result_json.to_json({"a": math.nan, "b": [math.inf, 1.5], "c": (2,)})
    assert json.loads(there) == {"a": None, "b": ["infinity", 1.5], "c": [2]}
    back = result_json.from_json(there)
    assert math.isnan(back["a"]) and back["b"] == [math.inf, 1.5]


def test_plots_accept_empty_and_infinite_values(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots want matplotlib, which is in the extra `test`")
    from model_training.report import plots

    assert plots.delays(tmp_path / "d.png", "d", {"verdict": [], "alarm": [math.inf]}).stat().st_size > 1000
    n = 450
    confidence = np.full(n, np.nan)
    plots.recording(
        tmp_path / "r.png", "r", np.arange(n) * 10**9, np.zeros((n, 2)), ("a", "b"), confidence, np.zeros(n, bool), 0.5, None, 400
    )
    assert (tmp_path / "r.png").stat().st_size > 1000
