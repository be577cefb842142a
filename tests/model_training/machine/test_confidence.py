"""From scores to confidences: the level of the budget is 0.9, and normal rows have a low confidence."""

from __future__ import annotations

import numpy as np
import pytest
from model_training.machine import confidence


@pytest.mark.parametrize("level", [1.5, 6.8, 12.0])
def test_confidence_is_09_at_the_level_and_03_three_below(level: float) -> None:
    table = confidence.calibration(level)
    assert table.confidence(level) == 0.9 and table.confidence(level - 1e-3) < 0.9
    assert table.confidence(level - 3.04) == pytest.approx(0.3, abs=0.01)
    assert table.confidence(level + 40) > 0.99 and table.confidence(level - 40) < 0.01


def test_confidence_of_normal_rows_near_the_level_falls_faster() -> None:
    random = np.random.default_rng(1)
    rare, slow = random.normal(0, 1, 5_000), random.normal(3, 1.2, 5_000)  # on slow scales an excursion lasts for many rows
    assert confidence.steepness(rare, 7) == 1
    steep = confidence.steepness(slow, 7)
    assert steep > 1
    table = confidence.calibration(7, steep)
    assert table.confidence(7) == 0.9
    assert np.mean([table.confidence(score) for score in slow]) <= confidence.MAX_NORMAL + 0.01
