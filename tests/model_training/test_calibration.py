"""Calibration tables and the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from model_training import calibration


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Scores whose square is the probability of a positive; a third of the rows are positive."""
    rng = np.random.default_rng(3)
    scores = rng.random(20_000)
    return scores, rng.random(20_000) < scores**2


def test_weights_match_prior() -> None:
    truth = np.array([True, False, False, False])
    weight = calibration.weights(truth, 0.4)
    assert weight.sum() == pytest.approx(1) and weight[truth].sum() == pytest.approx(0.4)


def test_weights_need_both_classes() -> None:
    with pytest.raises(ValueError, match="0 rows are positive and 3 are not"):
        calibration.weights(np.zeros(3, bool), 0.5)


def test_fitted_table_increases_and_is_calibrated(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = drawn
    table = calibration.fit(scores[::2], truth[::2], 1 / 3)
    assert len(table.scores) <= calibration.POINTS
    assert list(table.confidences) == sorted(table.confidences)
    assert calibration.expected_error(calibration.apply(table, scores[1::2]), truth[1::2], 1 / 3) < 0.03
    assert calibration.expected_error(scores, truth, 1 / 3) > 0.1


def test_table_depends_on_prior(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    scores, truth = drawn
    at_third, rare = (calibration.fit(scores, truth, prior) for prior in (1 / 3, 0.01))
    confidence, ratio = calibration.apply(at_third, scores), 0.01 / (1 - 0.01) * (1 - 1 / 3) / (1 / 3)
    required = confidence * ratio / (confidence * ratio + 1 - confidence)  # the odds, multiplied by the ratio of the priors' odds
    assert np.abs(calibration.apply(rare, scores) - required).mean() < 0.02
    assert calibration.expected_error(calibration.apply(rare, scores), truth, 0.01) < 0.02


def test_calibration_error_is_1_for_wrong_confidences() -> None:
    truth = np.array([True, False])
    assert calibration.expected_error(np.array([0.0, 1.0]), truth, 0.3) == pytest.approx(1)
    assert calibration.expected_error(np.array([1.0, 0.0]), truth, 0.3) == 0
    assert calibration.expected_error(np.array([0.3, 0.3]), truth, 0.3) == pytest.approx(0)
    assert calibration.expected_error(np.array([0.5, 0.5]), truth, 0.3) == pytest.approx(0.2)


def test_fit_needs_two_scores() -> None:
    with pytest.raises(ValueError, match="every score is 0.5"):
        calibration.fit(np.array([0.5, 0.5]), np.array([True, False]), 0.5)


def test_uninformative_scores_give_prior() -> None:
    table = calibration.fit(np.array([0.0, 0.0, 1.0, 1.0]), np.array([True, False, True, False]), 0.2)
    assert set(table.confidences) == {0.2}
