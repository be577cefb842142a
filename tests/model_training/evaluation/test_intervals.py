"""Exact intervals, against published tables."""

from __future__ import annotations

import math

import pytest
from model_training.evaluation.intervals import rate, share


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390), (100, 81.36, 121.63)]
)
def test_poisson_intervals_match_the_table_of_garwood(count: int, low: float, high: float) -> None:
    found = rate(count, 1.0)
    assert found.estimate == count and (found.low, found.high) == pytest.approx((low, high), rel=1e-3, abs=1e-3)
    assert rate(count, 2.0).high == pytest.approx(high / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 10, 0, 0.3085), (10, 10, 0.6915, 1), (5, 10, 0.1871, 0.8129), (1, 1, 0.025, 1), (8, 10, 0.4439, 0.9748)],
)
def test_binomial_intervals_match_the_table_of_clopper_and_pearson(count: int, total: int, low: float, high: float) -> None:
    found = share(count, total)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4) and found.estimate == count / total


def test_intervals_without_exposure_are_undefined() -> None:
    assert all(map(math.isnan, (*rate(0, 0.0), *share(0, 0))))
