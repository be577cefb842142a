"""`edgeml data simulate`: the recordings of every simulation in the table, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_training.history import Spec, read
from model_training.simulation import SIMULATIONS
from model_training.simulation.__main__ import main
from model_training.simulation.recordings import FAULTY, HISTORY, Plan, onset, simulate
from model_training.simulation.records import SimulationError
from model_training.simulation.signals import lagged, wander

PLAN = Plan(days=8, normal_days=1, fault_days=1, fault="", size=1.0, seed=3)


def run(out: Path, *arguments: str) -> tuple[str, str]:
    assert main(["air_handling_unit", "--out", str(out), "--days", "2", "--normal-days", "1", "--fault-days", "1", *arguments]) == 0
    return (out / HISTORY).read_text(encoding="utf-8"), (out / FAULTY).read_text(encoding="utf-8")


def test_recordings_are_one_history_for_the_reader(tmp_path: Path) -> None:
    run(tmp_path)
    history = read([tmp_path / HISTORY, tmp_path / FAULTY], Spec())
    first, second = history.recordings
    assert history.interval_s == 60 and len(first) == 2 * 1440
    assert [channel.name for channel in history.channels if channel.role == "context"] == ["outdoor_temperature", "mode", "supply_setpoint"]
    assert {channel.unit for channel in history.channels} == {"°C", "", "%", "Pa", "ppm", "W"}
    assert second.times[0] - first.times[-1] == 60_000_000_000
    normal = second.normal()
    assert first.normal().all() and 1440 + 9 * 60 < np.argmin(normal) <= 1440 + 10 * 60 + 1 and not normal[np.argmin(normal) :].any()


def test_output_names_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path)
    assert capsys.readouterr().out.split() == [str(tmp_path / HISTORY), str(tmp_path / FAULTY)]


def test_seed_determines_the_files(tmp_path: Path) -> None:
    same = run(tmp_path / "a")
    assert same == run(tmp_path / "b") and same[0] != run(tmp_path / "c", "--seed", "2")[0]


@pytest.mark.parametrize("name", SIMULATIONS)
def test_longer_course_begins_as_a_shorter_one(name: str) -> None:
    simulation = SIMULATIONS[name]
    short, long = (simulate(simulation, Plan(2, 0, days, "", 1.0, 5))[1] for days in (1, 3))
    assert np.array_equal(short.readings, long.readings[: len(short.times)], equal_nan=True)


def test_fault_of_size_zero_is_normal(tmp_path: Path) -> None:
    _, faulty = run(tmp_path, "--size", "0")
    assert all(line.endswith(",0") for line in faulty.splitlines()[1:])


@pytest.mark.parametrize("name", SIMULATIONS)
def test_each_simulation_has_the_declared_sensors_and_missing_values(name: str) -> None:
    simulation = SIMULATIONS[name]
    history, later = simulate(simulation, PLAN)
    assert simulation.start.weekday() == 0 and simulation.start.utcoffset() is not None
    assert history.readings.shape == (len(history.times), len(simulation.sensors)) and not later.faulty.any()
    missing = np.isnan(history.readings).mean()
    assert 0 < missing < 0.02
    for sensor, column in zip(simulation.sensors, history.readings.T, strict=True):
        known = column[np.isfinite(column)] / sensor.resolution
        assert np.allclose(known, np.round(known), atol=1e-6) and len(np.unique(known)) > 1, sensor.name


@pytest.mark.parametrize("name", SIMULATIONS)
def test_faults_begin_while_the_machine_runs(name: str) -> None:
    simulation = SIMULATIONS[name]
    begins = [onset(simulation, 24.0 * day) for day in range(14)]
    assert all(begin >= 24.0 * day for day, begin in enumerate(begins)) and simulation.running(np.array(begins)).all()


@pytest.mark.parametrize("name", SIMULATIONS)
def test_fault_is_marked_from_its_onset_to_the_end(name: str) -> None:
    simulation = SIMULATIONS[name]
    _, later = simulate(simulation, Plan(6, 0, 1, next(iter(simulation.faults)), 1.0, 1))
    first = int(np.argmax(later.faulty))
    assert 24 * 6 + first * simulation.step_s / 3600 == onset(simulation, 24.0 * 6) and later.faulty[first:].all()


def test_unknown_fault_lists_the_known_ones() -> None:
    with pytest.raises(SimulationError, match=r"--fault 'rust' is unknown; choose one of filter_clogs, valve_stuck"):
        simulate(SIMULATIONS["air_handling_unit"], Plan(1, 0, 1, "rust", 1.0, 1))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--days", "0"], "--days 0 is outside 1 to 366; correct it"),
        (["--normal-days", "-1"], "--normal-days -1 is outside 0 to 366; correct it"),
        (["--size", "nan"], "--size nan is outside 0 to 10; correct it"),
        (["--wear", "-1"], "--wear -1.0 is outside 0 to 10; correct it"),
        (["--seed", "-1"], "--seed -1 is negative; write 0 or more"),
        (["--fault", "rust"], "--fault 'rust' is unknown; choose one of filter_clogs, valve_stuck, fan_belt, sensor_drift"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    assert main(["air_handling_unit", "--out", str(tmp_path / "out"), *arguments]) == 1
    assert capsys.readouterr().err == f"edgeml data simulate: {sentence}\n"
    assert not list(tmp_path.rglob("*.csv"))


def test_out_that_is_a_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").touch()
    assert main(["air_handling_unit", "--out", str(tmp_path / "out")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_wander_has_the_stated_spread_and_memory() -> None:
    course = wander(np.random.default_rng(1), 20_000, 1.0, 10.0)
    assert abs(course.std() - 1) < 0.15 and abs(np.corrcoef(course[:-10], course[10:])[0, 1] - np.exp(-1)) < 0.1


def test_lag_approaches_a_step_with_its_time_constant() -> None:
    assert np.isclose(lagged(np.array([0.0] + [1.0] * 10), 1.0, 10.0)[-1], 1 - np.exp(-1))
