"""Budgets and the level that keeps them."""

from __future__ import annotations

import numpy as np
import pytest
from model_training.machine.budget import Budget, Tail, describe
from model_training.training_request import TrainingError


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1 per week", 10_080),
        ("2 per month", 21_915),
        ("1 per 3 days", 4_320),
        ("1/day", 1_440),
        ("0.5 a day", 2_880),
        ("1 alarm per year", 525_960),
        ("3 per 600 rows", 200),
    ],
)
def test_budget_is_converted_to_rows(text: str, rows: float) -> None:
    assert Budget.parse(text).in_rows(60) == pytest.approx(rows)


@pytest.mark.parametrize("text", ["", "often", "1 per fortnight", "per week", "-1 per week", "1 per week or so"])
def test_budget_that_is_no_budget_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(TrainingError, match="cannot be read; write a number per time, such as `1 per week`"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["0 per week", "1 per 0 days"])
def test_budget_of_no_alarm_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="allows no alarm at all"):
        Budget.parse(text)


@pytest.mark.parametrize(("seconds", "text"), [(604_800, "1 per week"), (12_000, "1 per 3.3 hours"), (30, "1 per 0.5 minutes")])
def test_time_between_alarms_is_described(seconds: float, text: str) -> None:
    assert describe(seconds) == text


def test_level_keeps_its_rate_on_new_rows_of_the_same_kind() -> None:
    rates = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        tail = Tail.fit(np.abs(random.normal(0, 1, (3_000, 4))), 3_000)
        level = tail.level(5_000)
        rates.append(int((tail.scaled(np.abs(random.normal(0, 1, (50_000, 4)))) >= level).sum()) / 10)
    assert 0.05 < np.mean(rates) <= 1.2, rates


def test_level_rises_with_the_rows_between_alarms_and_with_the_uncertainty_of_the_fit() -> None:
    random = np.random.default_rng(1)
    long, short = (Tail.fit(np.abs(random.normal(0, 1, (rows, 2))), rows) for rows in (20_000, 400))
    assert long.level(1_000) < long.level(10_000) < long.level(100_000)
    assert short.blocks < long.blocks
    assert short.level(100 * short.block) > long.level(100 * long.block)
