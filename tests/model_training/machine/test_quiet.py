"""A model is quiet on new normal running of its machine, and sees faults; by the scorer and the policy of a device."""

from __future__ import annotations

import numpy as np
import pytest
from model_training.machine import learning, validation
from model_training.machine import series as rows_of
from model_training.machine.budget import Budget
from model_training.machine.learning import Machine
from model_training.machine.numpy_engine import NumpyEngine
from model_training.machine.validation import DeviceResult, run_on_device

from edgeml.model.bundle import assemble
from edgeml.model.manifest import CycleColumn, HingeColumn
from tests.model_training.machine.machines import Plant

LEARNED, EVALUATED = 6_000, 6_000
BUDGET_ROWS = 2_000


def learn(plant: Plant, values: np.ndarray, labels: np.ndarray | None = None) -> Machine:
    history = plant.history(values, labels)
    budget = Budget.parse(f"1 per {BUDGET_ROWS} rows")
    return learning.learn(history, rows_of.collect(history), "m", budget, 1, lambda text: None)


def on_device(plant: Plant, machine: Machine, values: np.ndarray) -> DeviceResult:
    engine = NumpyEngine(machine.fit, machine.promise.level, len(machine.manifest.channels))
    recording = plant.history(values, begin_s=LEARNED * plant.interval_s).recordings[0]
    return run_on_device(assemble(machine.manifest, b""), engine, recording.times, recording.values)


def raised_from(result: DeviceResult, row: int) -> list[int]:
    return [each - row for each in result.raised if each >= row]


def coarse(values: np.ndarray) -> np.ndarray:
    out = values.copy()
    out[:, 0] = np.round(out[:, 0])
    out[:, 1] = np.where(np.abs(out[:, 1]) > 2.5, np.sign(out[:, 1]), 0)  # nearly constant
    return out


def with_missing(values: np.ndarray) -> np.ndarray:
    out = values.copy()
    out[np.random.default_rng(5).random(out.shape) < 0.03] = np.nan
    return out


CASES = {
    "channels that move together": (Plant(), lambda values: values),
    "a daily cycle": (Plant(day=2.0, interval_s=300), lambda values: values),
    "operating modes": (Plant(mode=2.0), lambda values: values),
    "slow drift": (Plant(drift=0.005), lambda values: values),
    "coarse and nearly constant channels": (Plant(), coarse),
    "missing values": (Plant(), with_missing),
    "one channel": (Plant(channels=1), lambda values: values),
}


@pytest.mark.parametrize("case", CASES)
def test_model_is_quiet_on_new_normal_rows_and_finds_a_step(case: str) -> None:
    plant, change = CASES[case]
    whole = change(plant.values(LEARNED + EVALUATED, 7))
    machine = learn(plant, whole[:LEARNED])
    normal = on_device(plant, machine, whole[LEARNED:])
    expected = np.isfinite(normal.confidence).sum() / BUDGET_ROWS
    assert expected > 1
    assert len(normal.raised) <= 2 * expected, (normal.raised, machine.fit.sentences)
    assert normal.alarm.mean() < 0.03

    faulty, begin = whole[LEARNED:].copy(), 4_000
    channel = plant.channels - 1
    faulty[begin:, channel] += 5 * machine.manifest.scaling.std[channel]
    found = raised_from(on_device(plant, machine, faulty), begin)
    assert found and found[0] <= 20, found


def test_daily_cycle_is_learned_and_one_that_is_not_there_is_not() -> None:
    for amplitude, used in ((2.0, True), (0.0, False)):
        plant = Plant(day=amplitude, interval_s=300)
        machine = learn(plant, plant.values(LEARNED, 2))
        assert ("daily cycle" in [group.name for group in machine.fit.groups]) == used, machine.fit.sentences
        assert any(isinstance(column, CycleColumn) for column in machine.manifest.columns) == used


def test_mode_that_explains_channels_does_not_alarm_and_never_speaks() -> None:
    plant = Plant(mode=3.0)
    whole = plant.values(LEARNED + 1_500, 4)
    machine = learn(plant, whole[:LEARNED])
    assert machine.manifest.context == ("mode",)
    assert {group.name for group in machine.fit.groups} & {"context", "delays of the context"}
    faulty = whole[LEARNED:].copy()
    faulty[1_000:, -1] = 7  # a mode that was never there moves channels' expectations, but is no fault itself
    result = on_device(plant, machine, faulty)
    assert (np.nan_to_num(result.views[:, -1]) == 0).all()


def test_unmarked_fault_in_the_history_is_set_aside_and_reported() -> None:
    plant = Plant()
    values = plant.values(LEARNED, 3)
    values[3_000:3_150, 2] += 12
    machine = learn(plant, values)
    out = ~machine.fit.accepted
    assert out[3_000:3_150].mean() > 0.5 and out.sum() < 600
    sentences = learning.aside(machine.series, machine.fit)
    assert any(sentence.startswith("set aside as not normal: 2026-01-07T02") for sentence in sentences), sentences
    clean = learn(plant, plant.values(LEARNED, 3))
    assert machine.promise.level == pytest.approx(clean.promise.level, rel=0.25)


def test_habit_of_the_machine_is_not_set_aside_and_does_not_alarm() -> None:
    plant = Plant(interval_s=600)
    whole = plant.values(LEARNED + 2_000, 3)
    for begin in range(60, len(whole), 144):  # each day at 10:00
        whole[begin : begin + 3, 2] += 12
    machine = learn(plant, whole[:LEARNED])
    assert machine.fit.accepted.all()
    assert len(on_device(plant, machine, whole[LEARNED:]).raised) <= 2


def test_relation_that_is_no_straight_line_is_learned() -> None:
    plant = Plant(channels=3)
    random = np.random.default_rng(2)
    whole = plant.values(LEARNED + 2_000, 3)
    whole[:, 2] = whole[:, 0] ** 2 + random.normal(0, 0.1, len(whole))
    machine = learn(plant, whole[:LEARNED])
    assert any(isinstance(column, HingeColumn) for column in machine.manifest.columns), machine.fit.sentences
    assert 0 in machine.manifest.relations[2]
    faulty = whole[LEARNED:].copy()
    faulty[1_000:, 2] -= 1.5
    found = raised_from(on_device(plant, machine, faulty), 1_000)
    assert found and found[0] < 30


@pytest.mark.parametrize("share", [0.001, 0.02])
def test_sentinels_of_failed_readings_do_not_blind_their_channel(share: float) -> None:
    plant = Plant()
    values = plant.values(LEARNED, 3)
    values[np.random.default_rng(1).random(LEARNED) < share, 0] = -9999
    history = plant.history(values)
    series, sentences = rows_of.without_sentinels(history, rows_of.collect(history))
    assert len(sentences) == 1 and "channel 'c0'" in sentences[0] and "such as -9999" in sentences[0]
    machine = learning.learn(history, series, "m", Budget.parse(f"1 per {BUDGET_ROWS} rows"), 1, lambda text: None)
    assert machine.manifest.scaling.std[0] < 10
    faulty = plant.values(LEARNED + 1_500, 3)[LEARNED:]
    faulty[1_000:, 0] += 6 * machine.manifest.scaling.std[0]
    found = raised_from(on_device(plant, machine, faulty), 1_000)
    assert found and found[0] <= 10


def test_heavy_tail_is_no_sentinel() -> None:
    plant = Plant(channels=1)
    values = np.random.default_rng(1).standard_t(3, (LEARNED, 1))
    history = plant.history(values)
    series = rows_of.collect(history)
    assert rows_of.without_sentinels(history, series) == (series, [])


def test_marked_rows_do_not_train() -> None:
    plant = Plant()
    values = plant.values(LEARNED, 3)
    labels = np.zeros(LEARNED, bool)
    labels[1_000:2_500] = True
    values[labels, 0] += 30
    machine = learn(plant, values, labels)
    assert machine.manifest.scaling.std[0] < 3
    assert not machine.fit.accepted[labels].any()


def test_broken_relation_names_the_channel_although_its_level_is_normal() -> None:
    plant = Plant(channels=5)
    whole = plant.values(LEARNED + 1_500, 8)
    machine = learn(plant, whole[:LEARNED])
    faulty = whole[LEARNED:].copy()
    faulty[1_000:, 1] = plant.values(LEARNED, 31)[:500, 1]  # its own values of another time
    result = on_device(plant, machine, faulty)
    found = raised_from(result, 1_000)
    assert found and found[0] < 200
    assert np.abs(result.views[1_000 + found[0]]).argmax() == 1
    assert machine.manifest.relations[1]


def test_history_of_several_recordings_keeps_its_references_apart() -> None:
    plant = Plant()
    one, other = (plant.history(plant.values(2_000, seed), begin_s=begin) for seed, begin in ((1, 0), (2, 10**7)))
    both = type(one)((*one.recordings, *other.recordings), one.channels, one.interval_s, (), one.files)
    series = rows_of.collect(both)
    assert series.parts() == [(0, 2_000), (2_000, 4_000)]
    machine = learning.learn(both, series, "m", Budget.parse("1 per 900 rows"), 1, lambda text: None)
    warm_up = machine.fit.layout.delay + machine.fit.layout.min_reference
    assert np.isnan(machine.fit.held_out[2_000 : 2_000 + warm_up - 1]).all()
    assert np.isfinite(machine.fit.held_out[2_000 + warm_up :]).all()


def test_rows_beyond_the_maximum_are_left_out_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_of, "MAX_ROWS", 1_000)
    plant = Plant()
    history = plant.history(plant.values(1_500, 1))
    series = rows_of.collect(history)
    assert len(series) == 1_000 and series.times[-1] == history.recordings[0].times[-1]
    assert rows_of.left_out(history, series) == ["the latest 1000 of 1500 rows are used, as many as fit in memory"]
    monkeypatch.undo()
    assert rows_of.left_out(history, rows_of.collect(history)) == []


def test_history_that_cannot_be_validated_says_why() -> None:
    plant = Plant()
    values = plant.values(2_000, 1)
    values[:1_700, 0] = np.nan
    history = plant.history(values)
    lines: list[str] = []
    assert validation.validate(history, rows_of.collect(history), "m", Budget.parse("1 per 1000 rows"), 1, lines.append) is None
    assert "channel 'c0' has no value in the rows that train" in lines[-1], lines
