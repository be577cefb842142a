"""Confusion matrix, episodes, delays, hours and changepoint score, compared with hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from model_training.evaluation import metrics, nab

SECOND = 10**9


def flags(text: str) -> np.ndarray:
    return np.array([char == "#" for char in text])


def test_confusion_matrix_and_rates() -> None:
    count = metrics.confusion_matrix(flags("##..#..."), flags("#.#.#..."))
    assert count == (2, 1, 1, 4)
    assert count.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert count.false_alarm_rate == pytest.approx(1 / 5)
    assert count.missed_alarm_rate == pytest.approx(1 / 3)
    assert metrics.pooled([count, metrics.ConfusionMatrix(0, 1, 0, 0)]) == (2, 2, 1, 4)
    assert math.isnan(metrics.pooled([]).f1)


def test_episode_delay_is_in_event_time() -> None:
    anomaly, result = flags(".###..##.#"), flags("...#..#...")
    assert metrics.episodes(anomaly) == [slice(1, 4), slice(6, 8), slice(9, 10)]
    times = np.array([0, 1, 2, 5, 6, 7, 8, 9, 10, 11]) * SECOND
    assert metrics.delays(times, result, anomaly) == [4.0, 0.0, math.inf]


def test_quantiles_accept_infinity() -> None:
    assert metrics.median([1.0, math.inf, 3.0]) == 3.0
    assert metrics.median([1.0, math.inf]) == math.inf
    assert metrics.quantile([float(i) for i in range(9)] + [math.inf], 0.9) == 8.0
    assert metrics.quantile([1.0, math.inf], 0.9) == math.inf
    assert math.isnan(metrics.median([]))


def test_hours_cap_gaps() -> None:
    times = np.array([0, 1, 2, 3600]) * SECOND
    assert metrics.hours(times, np.ones(4, bool)) == pytest.approx((1 + 1 + 5 + 1) / 3600)


@pytest.fixture
def truth() -> tuple[np.ndarray, np.ndarray]:
    """Changepoints at 100 and at 300 s of 600."""
    return np.arange(600) * SECOND, np.isin(np.arange(600), [100, 300])


def verdict(*changes: int) -> np.ndarray:
    result = np.zeros(600, bool)
    for change in changes:
        result[change:] ^= True
    return result


def test_nab_is_100_for_perfect_and_0_without_predictions(truth: tuple[np.ndarray, np.ndarray]) -> None:
    assert nab.score_changepoints(*truth[:1], verdict(100, 300), truth[1]).score == pytest.approx(100)
    assert nab.score_changepoints(*truth[:1], verdict(), truth[1]).score == 0


def test_nab_decreases_along_window_and_counts_first_prediction(truth: tuple[np.ndarray, np.ndarray]) -> None:
    times, changepoint = truth
    at_end = nab.score_changepoints(times, verdict(160, 300), changepoint)
    assert at_end.raw == pytest.approx(-0.11 + 1)
    middle = nab.score_changepoints(times, verdict(130, 300), changepoint)
    assert middle.raw == pytest.approx((1 - -0.11) / 2 - 0.11 + 1)
    assert nab.score_changepoints(times, verdict(130, 140, 150, 300), changepoint) == middle


def test_nab_penalises_outside_predictions_and_missed_windows(truth: tuple[np.ndarray, np.ndarray]) -> None:
    times, changepoint = truth
    assert nab.score_changepoints(times, verdict(50, 60, 300), changepoint).raw == pytest.approx(1 - 1 - 2 * 0.11)
    assert nab.total([nab.NabScore(1.0, 1), nab.NabScore(-1.0, 1)]).score == pytest.approx(50)
    assert math.isnan(nab.score_changepoints(times, verdict(50), np.zeros(600, bool)).score)


def test_nab_window_ends_at_next_changepoint() -> None:
    times, changepoint = np.arange(600) * SECOND, np.isin(np.arange(600), [100, 120])
    assert nab.score_changepoints(times, verdict(100, 120), changepoint).raw == pytest.approx(2)
    # The prediction is in the middle of the shortened window; the second window is missed.
    assert nab.score_changepoints(times, verdict(110), changepoint).raw == pytest.approx((1 - -0.11) / 2 - 0.11 - 1)
