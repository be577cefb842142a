"""Confidences, temperatures, intervals and metrics of tables."""

from __future__ import annotations

import numpy as np
import pytest
from model_training import calibration as fitted
from model_training.tables import baselines, calibration, evaluation, intervals
from model_training.training_request import TrainingError

from tests.model_training.tables.kit import spec, table

N = 200
RNG = np.random.default_rng(0)
NUMBERS = table(x=[at * 7 % 11 for at in range(N)], y=[float(at % 100) for at in range(N)])


def test_condition_of_a_horizon_and_of_a_limit() -> None:
    below = calibration.condition(NUMBERS, spec(target="y", horizon=10))
    assert (below.what, below.horizon, below.prior) == ("less than 10", 10, 0.1) and below.holds(np.array([9, 10])).tolist() == [
        True,
        False,
    ]
    above = calibration.condition(NUMBERS, spec(target="y", above=89.0))
    assert above.horizon is None and above.prior == 0.1 and "probability of more than 89" in above.meaning
    usual = calibration.condition(NUMBERS, spec(target="y"))
    assert usual.what.startswith("more than 94") and 0.03 < usual.prior < 0.06


def test_condition_without_rows_fails_with_one_sentence() -> None:
    with pytest.raises(TrainingError, match="0 of 200 rows have a target above 500.*the target goes from 0 to 99: choose another limit"):
        calibration.condition(NUMBERS, spec(target="y", above=500))


def test_confidence_falls_with_life_and_is_calibrated() -> None:
    life = RNG.uniform(0, 200, 20_000)
    score = life + RNG.normal(0, 8, len(life))
    condition = calibration.condition(NUMBERS, spec(target="y", horizon=30))._replace(prior=0.15)
    below = condition.holds(life)
    found = calibration.fit(score, below, condition)
    assert found.confidence(0.0) > 0.95 and found.confidence(125.0) < 0.02
    assert list(found.confidences) == sorted(found.confidences, reverse=True)
    error = calibration.expected_error(fitted.apply(found, score), below, 0.15)
    assert error is not None and error < 0.01
    assert calibration.expected_error(score, np.ones(len(score), bool), 0.15) is None


def test_equal_scores_give_the_prior() -> None:
    condition = calibration.condition(NUMBERS, spec(target="y", horizon=10))
    assert calibration.fit(np.full(9, 5.0), np.arange(9) < 2, condition).confidence(5.0) == pytest.approx(0.1)


def test_cross_calibration_uses_other_half() -> None:
    """With uninformative scores, a table applied to its own rows would correlate with the truth; a table of the other half does not."""
    score, truth = RNG.random(400), RNG.random(400) < 0.3
    condition = calibration.condition(NUMBERS, spec(target="y", above=70))
    confidence = calibration.cross_calibrate(score, truth, np.arange(400), condition, seed=1)
    assert len(set(np.round(confidence, 6))) > 1 and abs(np.corrcoef(confidence, truth)[0, 1]) < 0.2


def test_temperature_undoes_overconfidence() -> None:
    logits = RNG.normal(0, 1, (4000, 3))
    cumulated = calibration.tempered(logits, 1.0).cumsum(1)
    classes = (RNG.random((4000, 1)) > cumulated).sum(1)
    assert calibration.temperature(calibration.tempered(logits, 0.5), classes) == pytest.approx(2, rel=0.1)
    assert calibration.temperature(calibration.tempered(logits, 1.0), classes) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_intervals_cover_new_units(coverage: float) -> None:
    shares = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        unit = np.repeat(np.arange(400), 5)
        estimate = rng.uniform(0, 100, len(unit))
        target = estimate + (rng.normal(0, 1, 400)[unit] + rng.normal(0, 1, len(unit))) * (1 + estimate / 20)
        old = unit < 200
        found = intervals.fit(estimate[old], target[old], unit[old], coverage)
        shares.append(intervals.share_inside(found, estimate[~old], target[~old]))
        assert found.high[-1] - found.low[-1] > 2 * (found.high[0] - found.low[0]), "intervals are wider where errors are larger"
    assert coverage - 0.01 < np.mean(shares) < coverage + 0.05


def test_measured_coverage_uses_other_units() -> None:
    unit = np.repeat(np.arange(60), 4)
    target = RNG.normal(0, 1, len(unit))
    share, width = intervals.measured(np.zeros(len(unit)) + RNG.normal(0, 0.01, len(unit)), target, unit, 0.9, seed=1)
    assert 0.85 < share < 1.0 and 2 < width < 6


def test_few_units_give_their_largest_error() -> None:
    found = intervals.fit(np.array([1.0, 2.0, 3.0]), np.array([0.0, 4.0, 3.0]), np.arange(3), 0.9)
    assert (found.low.tolist(), found.high.tolist()) == ([-1.0], [2.0])


def test_rates_and_classes() -> None:
    confidence = np.array([0.9, 0.9, 0.1, 0.5])
    probabilities = np.array([[0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    predicted = evaluation.predicted_class(confidence, probabilities, 0.4)
    assert predicted.tolist() == [1, 2, 0, 1]
    each = evaluation.rates_by_class(predicted, np.array([1, 1, 0, 1]), ("none", "power", "wear"))
    assert each["power"] == (0.8, 1.0, 2 / 3, 3) and each["wear"] == (0.0, 0.0, 0.0, 0)
    assert evaluation.macro_f1(each) == 0.8
    assert evaluation.best_level(confidence, np.array([True, True, False, True])) == 0.5


def test_null_baseline_is_the_mean_or_the_shares() -> None:
    x = np.zeros((4, 1))
    assert baselines.predict("null", x, np.array([1.0, 2, 3, 6]), x[:2], 0, 1).tolist() == [3, 3]
    assert baselines.predict("null", x, np.array([0, 0, 0, 1]), x[:1], 3, 1).tolist() == [[0.75, 0.25, 0.0]]


@pytest.mark.parametrize("method", ["linear", "boosted"])
def test_baselines_learn(method: str) -> None:
    pytest.importorskip("sklearn", reason="the baselines need scikit-learn, which the extra `train` installs")
    x = RNG.normal(0, 1, (500, 3))
    numbers = baselines.predict(method, x[:400], 5 + 2 * x[:400, 1], x[400:], 0, 1)
    assert evaluation.rms(numbers - 5 - 2 * x[400:, 1]) < 0.5
    classes = (x[:, 0] > 0).astype(int) * 2
    probabilities = baselines.predict(method, x[:400], classes[:400], x[400:], 3, 1)
    assert probabilities.shape == (100, 3) and (probabilities[:, 1] == 0).all()
    assert ((probabilities[:, 2] > 0.5) == (classes[400:] > 0)).mean() > 0.9
