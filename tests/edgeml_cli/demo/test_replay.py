"""A bundle and recordings of the user's own as a scenario of the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alert_dispatcher.options import AlertDispatcherOptions
from edgeml.config.schema import read
from edgeml.timestamps import from_iso
from edgeml_cli.demo import main
from edgeml_cli.demo.replay import MAX_ASSETS, ReplayError, replayed
from edgeml_cli.demo.scenario import ASSET, Scenario
from edgeml_cli.demo.statistics import Statistics
from inference.options import InferenceOptions
from sensor_ingestion.options import SensorIngestionOptions
from sensor_ingestion.sources.base import Clocks
from sensor_ingestion.sources.csv_replay import CsvReplay
from tests.edgeml.keys import TRUSTED
from tests.edgeml_cli.demo.own_model import NAMES, ONSET, ROWS, bundle, recording


def ingestion_options(scenario: Scenario) -> SensorIngestionOptions:
    """The configuration of SensorIngestion, merged into that of its recipe."""
    given = scenario.config["com.edgeml.SensorIngestion"]
    given["assets"][ASSET] = {"source": "simulator"} | given["assets"][ASSET]
    return read(SensorIngestionOptions, given)


def test_scenario_of_a_recording(tmp_path: Path) -> None:
    scenario = replayed(bundle(tmp_path / "bundle"), [recording(tmp_path / "own.csv")], None, 0.0, tmp_path / "replay")
    assert scenario.title == "my_machine 1.0.0 on own.csv" and scenario.rows == ROWS
    assert scenario.pace == "1500 rows of 25.0 h are replayed as fast as possible, at the times of the recording."
    assert scenario.onset == from_iso("2026-03-02T08:00:00Z") + ONSET * 60 * 10**9
    assert scenario.component == ("com.edgeml.Model.MyMachine", "1.0.0")
    ingestion = ingestion_options(scenario)
    quality = ingestion.assets["my-machine"].quality
    assert not ingestion.assets[ASSET].enabled and quality.max_gap_s == 300
    assert {name: channel.stuck_after_s for name, channel in quality.channels.items()} == dict.fromkeys(NAMES, 0)
    inference = read(InferenceOptions, scenario.config["com.edgeml.Inference"])
    assert inference.model == "com.edgeml.Model.MyMachine" and list(inference.signature.public_keys.values()) == [TRUSTED]
    dispatcher = read(AlertDispatcherOptions, scenario.config["com.edgeml.AlertDispatcher"])
    assert dispatcher.policy_by_model["my_machine"] == {"hold_s": 120} and dispatcher.actions["command"]["enabled"] is False


def test_source_reads_the_rows_of_the_recording(tmp_path: Path) -> None:
    scenario = replayed(bundle(tmp_path / "bundle"), [recording(tmp_path / "own.csv")], None, 0.0, tmp_path / "replay")
    options = ingestion_options(scenario).assets["my-machine"].source_options()
    source = CsvReplay(options, Clocks(lambda: 0.0, lambda: 0))
    assert tuple(channel.name for channel in source.channels) == NAMES and {channel.unit for channel in source.channels} == {"1"}
    block = source.read(0.0, 10_000)
    assert block is not None and len(block.times) == ROWS and list(source.faults) == []
    assert block.times[0] == from_iso("2026-03-02T08:00:00Z") and np.isnan(block.values[700, 3]) and np.isnan(block.values).sum() == 1
    assert block.values[ONSET:, 1].mean() > block.values[:ONSET, 1].mean() + 15
    source.close()


def test_each_recording_is_an_asset(tmp_path: Path) -> None:
    files = [recording(tmp_path / f"{number}.csv", rows=300, onset=200) for number in (1, 2)]
    scenario = replayed(bundle(tmp_path / "bundle"), files, None, 3600.0, tmp_path / "replay")
    assert list(scenario.config["com.edgeml.SensorIngestion"]["assets"]) == [ASSET, "my-machine-1", "my-machine-2"]
    assert scenario.rows == 600 and "3600 times faster than real time" in scenario.pace


def test_run_without_a_decision_names_the_rows_needed(tmp_path: Path) -> None:
    scenario = replayed(bundle(tmp_path / "bundle"), [recording(tmp_path / "own.csv")], None, 0.0, tmp_path / "replay")
    assert scenario.expect(Statistics(scored=1)) == []
    [problem] = scenario.expect(Statistics())
    assert problem == "no row was scored (reasons: none); the model needs 30 rows before its first decision"


def test_unusable_input_is_one_sentence(tmp_path: Path) -> None:
    good, data = bundle(tmp_path / "bundle"), recording(tmp_path / "own.csv", rows=300)
    cases = [
        (bundle(tmp_path / "unsigned", signed=False), [data], None, "has no manifest.sig"),
        (tmp_path / "nowhere", [data], None, "nowhere"),
        (good, [tmp_path / "none.csv"], None, "none.csv"),
        (good, [recording(tmp_path / "other.csv", rows=300, names=("a", "b", "c", "d"))], None, "'?current'?"),
        (good, [data], tmp_path / "spec.yaml", "spec.yaml"),
        (good, [recording(tmp_path / f"{n}.csv", rows=150) for n in range(MAX_ASSETS + 1)], None, "17 recordings are too many"),
    ]
    for folder, files, spec, words in cases:
        with pytest.raises(ReplayError, match=words) as caught:
            replayed(folder, files, spec, 0.0, tmp_path / "replay")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bundle", "b"], "--bundle and --data need each other"),
        (["--data", "d.csv"], "--bundle and --data need each other"),
        (["--bundle", "b", "--data", "d.csv", "--recording", "r.csv"], "--recording is scored by the model that ships"),
        (["--spec", "s.yaml"], "are for --data"),
        (["--speed", "2000"], "are for --data"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2 and words in capsys.readouterr().err


def test_refused_bundle_ends_with_2_and_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = recording(tmp_path / "own.csv", rows=300)
    assert main.main(["--bundle", str(tmp_path / "nowhere"), "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("edgeml demo: ")
