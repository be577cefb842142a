"""The expected outcome of each scenario, and the inspection of a recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml_cli.demo.nucleus_session import install_progress
from edgeml_cli.demo.scenario import ASSET, FAULTS, SPEED, onset_remark, recorded, simulated
from edgeml_cli.demo.statistics import Statistics
from tests.edgeml_cli.demo import samples


def of_episode(leave_out: str = "") -> Statistics:
    stats = Statistics()
    for message, sender in samples.episode():
        if getattr(message, "id", None) != leave_out and getattr(message, "state", None) != leave_out:
            stats.add(message, sender)
    return stats


def test_fault_of_the_machine_expects_one_episode() -> None:
    for fault in ("valve", "imbalance", "cavitation"):
        assert FAULTS[fault](of_episode()) == []
        assert FAULTS[fault](Statistics()) == ["0 alarms became active, expected exactly 1"]


@pytest.mark.parametrize(
    ("left_out", "problem"),
    [
        ("c1", "the stop command for alarm a1 was not executed"),
        ("m2", "the start command for alarm a1 was not executed"),
        ("cleared", "alarm a1 did not clear"),
    ],
)
def test_missing_part_of_an_episode_is_reported(left_out: str, problem: str) -> None:
    assert FAULTS["valve"](of_episode(left_out)) == [problem]


def test_second_alarm_is_reported() -> None:
    stats = of_episode()
    stats.add(samples.alert(3, "active", 280, id="a2", raised=280))
    assert FAULTS["valve"](stats) == ["2 alarms became active, expected exactly 1"]


@pytest.mark.parametrize("fault", ["none", "sensor-stuck", "sensor-gap"])
def test_healthy_machine_expects_no_alarm(fault: str) -> None:
    assert FAULTS[fault](Statistics()) == []
    assert FAULTS[fault](of_episode()) == ["1 alarm became active, expected none"]


def test_every_fault_of_the_simulator_has_a_scenario() -> None:
    from sensor_ingestion.sources.pump_physics import FAULTS as KNOWN

    assert set(FAULTS) == set(KNOWN)


def test_scenario_options_are_valid_component_options() -> None:
    from edgeml.config.schema import read
    from sensor_ingestion.options import SensorIngestionOptions

    for fault in FAULTS:
        config = simulated(fault, 3, samples.START, "2026-01-01T00:00:00Z").config["com.edgeml.SensorIngestion"]
        source = read(SensorIngestionOptions, config).assets[ASSET].source_options()
        assert (source.fault, source.seed, source.speed) == (fault, 3, SPEED)


def test_scenario_describes_pace_and_pressure_resolution() -> None:
    from sensor_ingestion.sources.pump_physics import NAMES, PRESSURE_STEP

    shown = simulated("valve", 1, samples.START, "2026-01-01T00:00:00Z")
    assert shown.pace == "Event time runs 60 times faster than real time: 20 min of operation in 20 s."
    assert set(shown.notes) <= set(NAMES)
    assert f"resolution is {PRESSURE_STEP} bar" in shown.notes["pressure"]


def test_recording_is_counted_and_its_onset_found(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    lines = [f"2020-03-09 10:00:{i:02d};1.0;{float(i >= 7)}" for i in range(10)]
    path.write_text("\n".join(["datetime;Current;anomaly", *lines, ""]))
    scenario = recorded(path)
    assert scenario.rows == 10
    assert scenario.onset == 1_583_748_007 * 10**9
    assert scenario.expect(Statistics(scored=1)) == []
    [problem] = scenario.expect(Statistics())
    assert "no row was scored" in problem and "use a longer recording" in problem
    [alarm] = of_episode().raised
    assert onset_remark(samples.at(150), [alarm]) == "The first alarm was raised 7 s after the onset of the fault."
    assert onset_remark(samples.at(160), [alarm]) == "The first alarm was raised 3 s before the onset of the fault."
    assert onset_remark(None, [alarm]) == ""


def test_missing_recording_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        recorded(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        ("  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.9 MB)", "downloading numpy 2.4.6 (16.9 MB)"),
        ("Using cached ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_x86_64.whl (21.8 MB)", ""),
        ("  Downloading msgspec-0.22.0-cp311-cp311-manylinux_2_28_x86_64.whl (225 kB)", ""),
        ("  Downloading awscrt-0.36.1-cp311-abi3-manylinux2014_x86_64.whl (4.3 MB)", ""),
        (
            "INFO edgeml.runtime.install_venv: creating the virtual environment /x/venv with Python 3.11.7",
            "creating its virtual environment",
        ),
        ("Installing collected packages: numpy, msgspec", "installing the packages"),
        ("ERROR: No matching distribution found for numpy", "ERROR: No matching distribution found for numpy"),
        ("Requirement already satisfied: numpy", ""),
    ],
)
def test_install_progress(line: str, progress: str) -> None:
    assert install_progress(line) == progress
