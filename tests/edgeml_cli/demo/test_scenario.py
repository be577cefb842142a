"""What is expected of each scenario, and what is read of a recording beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeml_cli.demo.nucleus_session import install_progress
from edgeml_cli.demo.scenario import ASSET, FAULTS, SPEED, onset_remark, recorded, simulated
from edgeml_cli.demo.statistics import Statistics
from tests.edgeml_cli.demo import made


def of_episode(leave_out: str = "") -> Statistics:
    tally = Statistics()
    for message, sender in made.episode():
        if getattr(message, "id", None) != leave_out and getattr(message, "state", None) != leave_out:
            tally.take(message, sender)
    return tally


def test_one_whole_episode_is_what_a_fault_makes() -> None:
    for fault in ("valve", "imbalance", "cavitation"):
        assert FAULTS[fault](of_episode()) == []
        assert FAULTS[fault](Statistics()) == ["0 alarms went active where exactly one should have"]


@pytest.mark.parametrize(
    ("left_out", "problem"),
    [
        ("c1", "the command stop for alarm a1 was not executed"),
        ("m2", "the command start for alarm a1 was not executed"),
        ("cleared", "alarm a1 did not clear"),
    ],
)
def test_each_part_of_an_episode_is_missed(left_out: str, problem: str) -> None:
    assert FAULTS["valve"](of_episode(left_out)) == [problem]


def test_a_second_alarm_is_too_many() -> None:
    tally = of_episode()
    tally.take(made.alert(3, "active", 280, id="a2", raised=280))
    assert FAULTS["valve"](tally) == ["2 alarms went active where exactly one should have"]


@pytest.mark.parametrize("fault", ["none", "sensor-stuck", "sensor-gap"])
def test_a_healthy_machine_raises_no_alarm(fault: str) -> None:
    assert FAULTS[fault](Statistics()) == []
    assert FAULTS[fault](of_episode()) == ["1 alarm went active where none should have"]


def test_every_fault_of_the_simulator_can_be_shown() -> None:
    from sensor_ingestion.sources.pump_physics import FAULTS as KNOWN

    assert set(FAULTS) == set(KNOWN)


def test_options_are_those_that_the_component_has() -> None:
    from edgeml.config.schema import read
    from sensor_ingestion.options import SensorIngestionOptions

    for fault in FAULTS:
        config = simulated(fault, 3, made.START, "2026-01-01T00:00:00Z").config["com.edgeml.SensorIngestion"]
        source = read(SensorIngestionOptions, config).assets[ASSET].source_options()
        assert (source.fault, source.seed, source.speed) == (fault, 3, SPEED)


def test_the_speed_and_the_steps_of_the_pressure_are_told() -> None:
    from sensor_ingestion.sources.pump_physics import NAMES, PRESSURE_STEP

    shown = simulated("valve", 1, made.START, "2026-01-01T00:00:00Z")
    assert shown.pace == "Event time runs 60 times as fast as the clock: 20 min of the pump in 20 s."
    assert set(shown.notes) <= set(NAMES)
    assert f"steps of {PRESSURE_STEP} bar" in shown.notes["pressure"]


def test_a_recording_is_counted_and_its_onset_found(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    lines = [f"2020-03-09 10:00:{i:02d};1.0;{float(i >= 7)}" for i in range(10)]
    path.write_text("\n".join(["datetime;Current;anomaly", *lines, ""]))
    scenario = recorded(path)
    assert scenario.rows == 10
    assert scenario.onset == 1_583_748_007 * 10**9
    assert scenario.expect(Statistics(scored=1)) == []
    [problem] = scenario.expect(Statistics())
    assert "no row was judged" in problem and "give a longer recording" in problem
    [alarm] = of_episode().raised
    assert onset_remark(made.at(150), [alarm]) == "The first alarm was raised 7 s after the onset of the fault."
    assert onset_remark(made.at(160), [alarm]) == "The first alarm was raised 3 s before the onset of the fault."
    assert onset_remark(None, [alarm]) == ""


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        recorded(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.9 MB)", "fetching numpy 2.4.6 (16.9 MB)"),
        ("Using cached ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_x86_64.whl (21.8 MB)", ""),
        ("  Downloading msgspec-0.22.0-cp311-cp311-manylinux_2_28_x86_64.whl (225 kB)", ""),
        ("  Downloading awscrt-0.36.1-cp311-abi3-manylinux2014_x86_64.whl (4.3 MB)", ""),
        ("INFO edgeml.runtime.install_venv: making the virtual environment /x/venv with Python 3.11.7", "making its virtual environment"),
        ("Installing collected packages: numpy, msgspec", "installing these packages"),
        ("ERROR: No matching distribution found for numpy", "ERROR: No matching distribution found for numpy"),
        ("Requirement already satisfied: numpy", ""),
    ],
)
def test_progress_of_an_install(line: str, said: str) -> None:
    assert install_progress(line) == said
