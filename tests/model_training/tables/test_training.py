"""Training runs: the sources of a table, refusals, and small runs with TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_training import golden_samples, train
from model_training.datasets import DatasetError, load_cmapss
from model_training.tables import evaluation, features, network, public_data, training
from model_training.training_request import TrainingError

from edgeml.model.bundle import Bundle, assemble
from tests.model_training.tables.kit import request
from tests.model_training.tables.synthetic_engines import write

LIVES = (150, 180, 120, 200)
HEADER = (
    "UDI,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],Torque [Nm],Tool wear [min],Machine failure"
)


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    write(tmp_path / "engines" / "cmapss", LIVES, (31, 29, 140), (60, 90, 10))
    return tmp_path / "engines"


@pytest.fixture
def mill(tmp_path: Path) -> Path:
    """300 rows; those with a power above 9,000 W fail."""
    rng, lines = np.random.default_rng(0), [HEADER]
    for i in range(300):
        torque, speed = rng.uniform(25, 65), rng.uniform(1300, 1700)
        fails = int(torque * speed * 2 * np.pi / 60 > 9000)
        lines.append(f"{i + 1},M{i},{'LMH'[i % 3]},300.{i % 10},310.5,{speed:.0f},{torque:.1f},{i % 150},{fails}")
    (tmp_path / "data" / "ai4i").mkdir(parents=True)
    (tmp_path / "data" / "ai4i" / "ai4i2020.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path / "data"


def refusal(kind: str, **keys: Any) -> str:
    with pytest.raises(TrainingError) as caught:
        training.Run(training.load(request(**keys), kind), request(**keys), kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_example_fetches_its_data_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = []

    def unreachable(name: str, out: Path, log: Any) -> None:
        requested.append((name, out))
        raise DatasetError("the address does not answer; name a folder")

    monkeypatch.setattr(public_data, "fetch", unreachable)
    for kind in ("regression", "classification"):
        assert "does not answer" in refusal(kind, out=tmp_path / "out")
    assert requested == [("cmapss", tmp_path / "out" / "data"), ("ai4i", tmp_path / "out" / "data")]


def test_files_of_a_public_data_set_are_verified(engines: Path, tmp_path: Path) -> None:
    spec = public_data.DEFAULT["regression"]
    source = training.load(request(tmp_path, spec=spec, data=[engines / "cmapss" / "train_FD001.txt"]), "regression")
    assert source.data["dataset"] == "cmapss" and source.test is not None and source.table.units == 4


def test_training_file_alone_counts_the_rows_left(engines: Path, tmp_path: Path) -> None:
    copy = tmp_path / "engines.txt"
    copy.write_bytes((engines / "cmapss" / "train_FD001.txt").read_bytes())
    spec = public_data.DEFAULT["regression"]
    source = training.load(request(tmp_path, spec=spec, data=[copy]), "regression")
    expected = load_cmapss(engines).train.life
    assert source.table.target[: len(expected)].tolist() == expected.tolist() and source.test is None
    assert source.data["files"].keys() == {"engines.txt"}


def test_folder_of_tables_is_read_with_a_target(mill: Path, tmp_path: Path) -> None:
    source = training.load(request(tmp_path, folder=mill, target="Machine failure"), "classification")
    assert source.table.classes == ("0", "1") and len(source.table.channels) == 4
    assert source.spec.name == "" and "ai4i2020.csv: 300 rows, 9 columns" in source.notes


def test_derived_columns_match_physics(mill: Path, tmp_path: Path) -> None:
    run = training.Run(training.load(request(tmp_path, folder=mill), "classification"), request(tmp_path), "classification")
    rows = run.table.values.astype(float)
    seen = features.derived(run.template, run.table, run.examples.x)[:, 0]
    names = [channel.name for channel in run.table.channels]
    air, process, speed, torque, wear = (
        rows[:, names.index(name)] for name in ("air_temperature", "process_temperature", "speed", "torque", "tool_wear")
    )
    assert rows[:3, names.index("quality")].tolist() == [0.0, 1.0, 2.0]
    assert seen[:, 0] == pytest.approx(process - air, abs=1e-3)
    assert seen[:, 1] == pytest.approx(torque * speed, rel=1e-4)
    assert seen[:, 3] == pytest.approx(wear * torque - (11_000 + 1000 * rows[:, names.index("quality")]), abs=0.1)


def test_invalid_data_fail_with_reason(engines: Path, mill: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", engines / "cmapss" / "train_FD001.txt"
    write(engines / "cmapss", (150, 180), (31,), (60,))
    assert "the column `engine` names 2 units (1, 2), but at least 3 are needed" in refusal("regression", out=out, folder=engines)
    write(engines / "cmapss", (40, 21, 22, 23), (31,), (60,))
    assert "only 1 units have the 30 rows that a decision needs" in refusal("regression", out=out, folder=engines)
    file.write_text("")
    assert "train_FD001.txt has no rows" in refusal("regression", out=out, folder=engines)
    file.unlink()
    assert "train_FD001.txt" in refusal("regression", out=out, folder=engines)
    assert "no CSV or Parquet file" in refusal("regression", out=out, folder=tmp_path / "out", target="y")
    assert "there is no column `wear` for the target; the columns are UDI, " in refusal("regression", out=out, folder=mill, target="wear")
    assert "'9 lives' is not a model's name" in refusal("classification", out=out, folder=mill, target="Machine failure", name="9 lives")
    for text, sentence in (
        ("derived: {p: \"'Tool wear' * sped\"}", "uses sped, which are no channels"),
        ("derived: {p: 1 +}", "the derived column `p`: `1 +` cannot be parsed"),
        ("taget: x", "`taget`"),
        ("[1]", "is not a map of keys"),
        ("a: [", "is not valid YAML"),
        ("dataset: mnist", "unknown data set `mnist`"),
        ("channels: {torque: {column: Torq}}", "there is no column `Torq` for the channel torque"),
        ("channels: {quality: {column: Type}}", "line 2: the channel `quality` has the text 'L'"),
        ("channels: {quality: {column: Type, values: {L: 0, M: 1}}}", "has 'H', which `channels.quality.values` does not list"),
        ("horizon: 3\nabove: 4", "`horizon` and `above` are both set"),
        ("run_to_failure: true", "`run_to_failure` needs `group`"),
    ):
        spec = tmp_path / "spec.yaml"
        spec.write_text(text)
        assert sentence in refusal("regression", out=out, folder=mill, target="Torque [Nm]", spec=spec)
    assert "cannot be read" in refusal("regression", out=out, spec=tmp_path / "nowhere.yaml")


# --- With TensorFlow ---


def needs_training() -> None:
    for package in ("tensorflow", "sklearn", "matplotlib"):
        pytest.importorskip(package, reason="needs the extra `train`: edgeml dev test-training")


@pytest.mark.training
def test_graph_computes_derived_columns_as_the_baselines_see_them(mill: Path, tmp_path: Path) -> None:
    needs_training()
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "channels: {torque: {column: 'Torque [Nm]'}, speed: {column: 'Rotational speed [rpm]'}}\n"
        "derived: {power: torque * speed / 9.55, least: 'min(torque, 40) - abs(speed - 1500) * 0.1', ratio: torque / speed}\n"
    )
    from model_training import tflite_export
    from model_training.tables.graph import GraphColumns

    made = request(tmp_path, folder=mill, target="Machine failure", spec=spec)
    run = training.Run(training.load(made, "classification"), made, "classification")
    assert run.weights == ("float32",), "int8 has no division"
    tf = tflite_export.begin(1)
    inputs = tf.keras.layers.Input(run.examples.x.shape[1:])
    columns = GraphColumns(tf, inputs, run.template, run.table, features.derived(run.template, run.table, run.examples.x))
    seen = tf.keras.Model(inputs, columns.flat).predict(run.examples.x, verbose=0)
    assert seen == pytest.approx(columns.values(run.examples.x), abs=2e-4)


@pytest.mark.training
def test_regression_is_reproducible_and_estimates_cycles(engines: Path, tmp_path: Path) -> None:
    needs_training()
    created = []
    for name in ("a", "b"):
        lines: list[str] = []
        result = training.train(request(tmp_path / name, engines, lines=lines), "regression")
        created.append(Bundle.load(result.bundle))
        assert "partial" in lines[0] and any("held out" in line for line in lines)
        assert result.figures["held_out"]["rmse"] > 0 and result.figures["null"]["rmse"] > 0 and "interval" in result.figures
    assert created[0].digest == created[1].digest
    manifest = created[0].manifest
    assert manifest.name == "engine_life" and manifest.horizon == 30 and manifest.input_shape == (6, 42)
    assert manifest.provenance["intervals"]["coverage"] == 0.9 and manifest.provenance["weights"] == "int8"
    test = training.load(request(tmp_path, engines), "regression").test
    assert test is not None
    found = evaluation.predict(created[0], test)
    assert found.decided.sum() == 2 + 0 + 111 and (found.score[found.decided] >= 0).all() and (found.score[found.decided] <= 125.5).all()
    card = (tmp_path / "a" / "engine_life-report" / "card.md").read_text()
    assert "null: the mean" in card and "gradient boosting" in card and "Conformal intervals" in card
    golden_samples.write(tmp_path / "a" / "engine_life")


@pytest.mark.training
def test_classification_is_reproducible_and_gives_a_class(mill: Path, tmp_path: Path) -> None:
    needs_training()
    created = [Bundle.load(training.train(request(tmp_path / name, mill), "classification").bundle) for name in "ab"]
    assert created[0].digest == created[1].digest and created[0].manifest.classes == ("no failure", "power")
    table = training.load(request(tmp_path, mill), "classification").table
    found = evaluation.predict(created[0], table)
    assert found.answers.sum(1) == pytest.approx(np.ones(len(table)), abs=0.02)
    assert found.score == pytest.approx(1 - found.answers[:, 0], abs=1e-6) and np.isfinite(found.confidence).all()
    assert created[0].manifest.provenance["derived"]["power"] == "torque * speed"


@pytest.mark.training
def test_own_table_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_training()
    rng = np.random.default_rng(0)
    rows = ["machine,load [%],heat [°C],wear"]
    for machine in range(6):
        for _ in range(30):
            load, heat = rng.uniform(0, 100), rng.uniform(20, 90)
            rows.append(f"m{machine},{load:.2f},{heat:.2f},{0.5 * load + 0.2 * heat + rng.normal(0, 1):.3f}")
    (tmp_path / "wear.csv").write_text("\n".join(rows) + "\n", "utf-8")
    words = ["regression", "--data", str(tmp_path / "wear.csv"), "--target", "wear", "--group", "machine", "--out", str(tmp_path / "out")]
    assert train.main([*words, "--above", "50", "--name", "wear_estimate"], {}) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    bundle = Bundle.load(Path(answer["bundle"]))
    assert bundle.manifest.name == "wear_estimate" and bundle.golden and bundle.manifest.names == ("load", "heat")
    assert answer["held_out"]["rmse"] < answer["null"]["rmse"] / 3 and answer["linear"]["rmse"] < 2
    assert bundle.manifest.calibration.confidence(65.0) > 0.9 > 0.1 > bundle.manifest.calibration.confidence(30.0)


@pytest.mark.training
def test_sampled_network_predicts_after_export(mill: Path, tmp_path: Path) -> None:
    needs_training()
    made = request(tmp_path, folder=mill, target="Machine failure")
    run = training.Run(training.load(made, "classification"), made, "classification")
    run.recipe = network.SERIES._replace(epochs=2)
    model = run.fit(np.ones(len(run.examples.x), bool))
    own = model.predict(run.examples.x[:20])
    file = assemble(run.template, run.export(model, "float32"))
    assert evaluation.answers(file, run.examples.x[:20]) == pytest.approx(own, abs=1e-4)
