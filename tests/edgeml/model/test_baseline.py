"""Baselines: fit, JSON form, and refusals."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from edgeml.errors import BundleError
from edgeml.model.baseline import Baseline
from edgeml.model.manifest import Channel, Scaling
from tests.edgeml.tiny import MANIFEST

ROWS = np.random.default_rng(1).normal([5.0, 30.0], [0.1, 2.0], (600, 2))
ONE = np.zeros(600, int)


def test_baseline_has_mean_and_spread_of_independent_rows() -> None:
    baseline = Baseline.fit(MANIFEST, ROWS, ONE)
    assert baseline.mean == pytest.approx([5.0, 30.0], rel=0.01)
    assert baseline.std == pytest.approx([0.1, 2.0], rel=0.1)
    assert baseline.spread[0] == baseline.std
    assert np.array(baseline.spread[1]) == pytest.approx(np.array(baseline.std) / np.sqrt(3), rel=0.15)


def test_slow_movement_widens_the_spread_of_long_steps() -> None:
    slow = ROWS + np.sin(np.arange(600) / 50)[:, None] * [1.0, 0.0]
    baseline = Baseline.fit(MANIFEST, slow, ONE)
    assert baseline.spread[1][0] > 0.9 * baseline.std[0]


def test_steps_across_a_gap_do_not_count() -> None:
    jump = ROWS.copy()
    jump[300:] += 1000.0
    whole = Baseline.fit(MANIFEST, jump, (np.arange(600) >= 300).astype(int))
    expected = np.array([jump[i : i + 3].mean(0) for i in range(598) if not 297 < i < 300]).std(0)
    assert whole.spread[1] == pytest.approx(np.maximum(expected, np.array(whole.std) / np.sqrt(3)))


def test_constant_channel_has_a_minimum_spread() -> None:
    floors = msgspec.structs.replace(
        MANIFEST,
        channels=(Channel(name="current", unit="A", floor=0.25), Channel(name="flow", unit="l/min")),
    )
    baseline = Baseline.fit(floors, np.full((100, 2), 7.0), np.zeros(100, int))
    assert baseline.std[0] == 0.25
    assert 0 < baseline.std[1] < 1e-4
    assert min(baseline.spread[1]) > 0


def test_baseline_survives_json() -> None:
    baseline = Baseline.fit(MANIFEST, ROWS, ONE)
    assert Baseline.from_dict(json.loads(json.dumps(baseline.to_dict())), MANIFEST) == baseline


@pytest.mark.parametrize(
    "damage",
    [{"mean": [1.0]}, {"std": [0.0, 1.0]}, {"mean": [float("nan"), 1.0]}, {"spread": []}, {"std": "x"}, {"scaling_id": "other"}],
)
def test_damaged_baseline_is_refused(damage: dict) -> None:
    with pytest.raises(BundleError, match="a saved baseline"):
        Baseline.from_dict(Baseline.fit(MANIFEST, ROWS, ONE).to_dict() | damage, MANIFEST)


def test_other_json_is_refused() -> None:
    for kept in (None, [], 3, {}):
        with pytest.raises(BundleError, match="a saved baseline"):
            Baseline.from_dict(kept, MANIFEST)


def test_fixed_scaling_comes_from_the_manifest() -> None:
    scaling = Scaling(kind="fixed", mean=(5.0, 30.0), std=(0.1, 2.0), spread=((0.1, 2.0), (0.06, 1.2)))
    baseline = Baseline.fixed(msgspec.structs.replace(MANIFEST, scaling=scaling))
    assert (baseline.mean, baseline.std, baseline.spread) == (scaling.mean, scaling.std, scaling.spread)
