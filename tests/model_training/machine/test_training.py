"""`edgeml model train machine` from a table to a bundle, a card, a component and its configuration."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from model_training import train
from model_training.machine import graph, learning
from model_training.machine import series as rows_of
from model_training.machine.budget import Budget
from model_training.machine.numpy_engine import NumpyEngine

from edgeml.model import self_test
from edgeml.model.bundle import Bundle
from edgeml.model.runtime import open_engine
from edgeml.model.signature import make_key, pinned
from tests.model_training.machine.machines import START_NS, Plant

pytestmark = pytest.mark.training
ROWS = 1_500


def table(path: Path, plant: Plant, values: np.ndarray) -> Path:
    names = [f"c{number} (bar)" for number in range(plant.channels)] + (["mode"] if plant.mode else [])
    lines = [",".join(["time", *names])]
    for row, cells in enumerate(values):
        at = np.datetime64(START_NS + round(row * plant.interval_s) * 10**9, "ns").astype("datetime64[s]")
        lines.append(",".join([f"{at}Z", *("" if np.isnan(cell) else f"{cell:.4f}" for cell in cells)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_table_becomes_a_signed_bundle_with_card_component_and_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant = Plant(channels=4, mode=1.5)
    file = table(tmp_path / "history.csv", plant, plant.values(ROWS, 1))
    make_key(tmp_path / "own.key")
    arguments = ["machine", "--data", str(file), "--name", "press", "--out", str(tmp_path / "out"), "--budget", "1 per 2 days"]
    assert train.main([*arguments, "--key", str(tmp_path / "own.key")], {}) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result["bundle"] == str(tmp_path / "out" / "press") and result["signed"] and result["budget_kept"]
    assert any("channel 'mode' is context" in line for line in lines)

    bundle = Bundle.load(tmp_path / "out" / "press", pinned("", str(tmp_path / "own.pub"), True))
    assert bundle.manifest.units == ("bar", "bar", "bar", "bar", "") and bundle.manifest.context == ("mode",)
    assert len(bundle.model) < 60_000
    assert self_test.verify(bundle, open_engine(bundle)).windows > 8

    card = (tmp_path / "out" / "press-report" / "card.md").read_text(encoding="utf-8")
    assert "| step | 0 σ |" in card and "false-alarm budget" in card
    assert {path.suffix for path in (tmp_path / "out" / "press-report").iterdir()} == {".md", ".png"}

    component = Path(result["component"])
    with zipfile.ZipFile(next(component.glob("artifacts/*/*/model.zip"))) as archive:
        assert {"bundle/model.tflite", "bundle/manifest.sig", "install_bundle.py"} <= set(archive.namelist())
    merge = yaml.safe_load(Path(result["configuration"]).read_text(encoding="utf-8"))
    assert merge["com.edgeml.Inference"]["merge"]["model"] == "com.edgeml.Model.Press"
    assert merge["com.edgeml.AlertDispatcher"]["merge"]["policy_by_model"]["press"]["hold_s"] == 0


def test_same_table_gives_the_same_bundle(tmp_path: Path) -> None:
    plant = Plant(channels=3)
    file = table(tmp_path / "history.csv", plant, plant.values(ROWS, 2))
    make_key(tmp_path / "own.key")
    for out in ("a", "b"):
        arguments = ["machine", "--data", str(file), "--name", "m", "--out", str(tmp_path / out), "--quick"]
        assert train.main([*arguments, "--key", str(tmp_path / "own.key")], {}) == 0
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / out / "m").iterdir() if path.name != "manifest.sig"} for out in ("a", "b")
    )
    assert one == other


@pytest.mark.parametrize("plant", [Plant(channels=1), Plant(channels=5), Plant(channels=4, mode=1.0, day=1.0, interval_s=600)])
def test_exported_graph_is_the_one_in_numpy(plant: Plant) -> None:
    history = plant.history(plant.values(ROWS, 3))
    machine = learning.learn(history, rows_of.collect(history), "m", Budget.parse("1 per 1000 rows"), 1, lambda text: None)
    channels = len(history.channels)
    model = graph.export(machine.fit, machine.promise.level, channels, 1)
    from edgeml.model.bundle import assemble

    exported = open_engine(assemble(machine.manifest, model))
    engine = NumpyEngine(machine.fit, machine.promise.level, channels)
    random = np.random.default_rng(4)
    width = machine.manifest.input_shape[1] // (len(machine.fit.layout.scales) + 1)
    for size in (0.01, 0.3, 3.0):
        means = random.normal(0, size, (len(machine.fit.layout.scales) + 1, width)).astype(np.float32)
        means[1] = means[-1]  # a mean that is not known
        features = means.reshape(1, -1)
        np.testing.assert_allclose(exported.explain(features), engine.explain(features), rtol=2e-3, atol=2e-4)


def test_budget_that_the_history_cannot_promise_is_said_and_the_tightest_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant = Plant(channels=2)
    file = table(tmp_path / "history.csv", plant, plant.values(400, 5))
    make_key(tmp_path / "own.key")
    arguments = ["machine", "--data", str(file), "--name", "m", "--out", str(tmp_path / "out"), "--budget", "1 per year"]
    assert train.main([*arguments, "--key", str(tmp_path / "own.key"), "--quick"], {}) == 0
    out = capsys.readouterr().out
    assert "400 rows of history cannot promise 1 per year, only 1 per 1.4 days (one in 2000 rows)" in out
    result = json.loads(out.splitlines()[-1])
    assert not result["budget_kept"] and result["budget"] == "1 per 1.4 days"
