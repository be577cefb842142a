"""Missing values raise no alarm, in any state of the machine, and hide no fault of another channel."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from model_training.machine.learning import Machine

from tests.model_training.machine.machines import Plant
from tests.model_training.machine.test_quiet import EVALUATED, LEARNED, learn, on_device, raised_from

PLANT = Plant()


def switched() -> tuple[np.ndarray, np.ndarray]:
    """(n, 6) of a machine that goes off for a while every now and then, with all its channels, and whether it is on, (n,) bool."""
    random = np.random.default_rng(7)
    effect = np.random.default_rng(5).uniform(5, 15, 6) * np.random.default_rng(6).choice([-1, 1], 6)
    on = np.zeros(LEARNED + EVALUATED, bool)
    row = 0
    while row < len(on):
        lasts = int(random.integers(60, 200))
        on[row : row + lasts] = True
        row += lasts + int(random.integers(40, 120))
    return PLANT.values(len(on), 7) + np.outer(on, effect), on


@cache
def learned(kind: str) -> tuple[Plant, Machine, np.ndarray, np.ndarray]:
    """A plant, its model, the rows to evaluate, and whether the machine is off in them."""
    if kind == "on and off":
        plant, (whole, on) = PLANT, switched()
        off = ~on[LEARNED:]
    else:
        plant = PLANT if kind == "wanders" else Plant(mode=3.0)
        whole = plant.values(LEARNED + EVALUATED, 7)
        off = np.ones(EVALUATED, bool)
    return plant, learn(plant, whole[:LEARNED]), whole[LEARNED:], off


def new_alarms(kind: str, values: np.ndarray) -> list[int]:
    """Rows at which alarms become active that do not without missing values."""
    plant, machine, complete, _ = learned(kind)
    known = on_device(plant, machine, complete).raised
    return [row for row in on_device(plant, machine, values).raised if all(abs(row - each) > 20 for each in known)]


@pytest.mark.parametrize("kind", ["on and off", "wanders", "modes"])
@pytest.mark.parametrize("channels", [1, 2])
def test_channels_that_are_missing_for_30_rows_raise_nothing(kind: str, channels: int) -> None:
    _, _, complete, off = learned(kind)
    random = np.random.default_rng(channels)
    values, cases = complete.copy(), 0
    for first in range(1_500, EVALUATED - 500, 400):
        begin = next(row for row in range(first, EVALUATED) if off[row : row + 30].all())
        for channel in random.choice(6, channels, replace=False):
            values[begin : begin + 30, channel] = np.nan
        cases += 1
    assert cases > 8
    # The budget is three alarms in so many rows.
    assert len(new_alarms(kind, values)) <= channels - 1


@pytest.mark.parametrize("kind", ["on and off", "wanders"])
def test_step_in_another_channel_is_found_while_one_is_missing(kind: str) -> None:
    plant, machine, complete, off = learned(kind)
    begin = next(row for row in range(4_000, EVALUATED) if off[row : row + 30].all())
    values = complete.copy()
    values[begin : begin + 30, 1] = np.nan
    values[begin + 5 :, 4] += 5 * machine.manifest.scaling.std[4]
    result = on_device(plant, machine, values)
    found = raised_from(result, begin + 5)
    assert found and found[0] <= 10, found
    assert np.isnan(result.views[begin : begin + 30, 1]).all()


@pytest.mark.parametrize("kind", ["on and off", "wanders"])
def test_channel_that_was_missing_for_long_returns_without_an_alarm(kind: str) -> None:
    plant, machine, complete, off = learned(kind)
    scales = machine.fit.layout.scales
    longest = scales[-1]
    begin = 2_000
    end = next(row for row in range(begin + longest + 500, EVALUATED) if off[begin] != off[row] or kind == "wanders")
    values = complete.copy()
    values[begin:end, 2] = np.nan
    after = [row for row in new_alarms(kind, values) if end <= row]
    assert after == []
    values[end:, 2] += 8 * machine.manifest.scaling.std[2]
    found = raised_from(on_device(plant, machine, values), end)
    assert found and found[0] <= 5


def test_missing_context_raises_nothing() -> None:
    _, _, complete, _ = learned("modes")
    values = complete.copy()
    for begin in range(1_510, EVALUATED - 500, 500):  # the mode changes every 50 rows
        values[begin : begin + 30, -1] = np.nan
    assert new_alarms("modes", values) == []
