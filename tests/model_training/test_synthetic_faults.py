"""Synthetic episodes are reproducible, and labelled exactly where a fault is added."""

from __future__ import annotations

import numpy as np
from model_training.anomaly import synthetic_faults
from model_training.anomaly.network import SPANS, means

BACKGROUND = np.random.default_rng(1).normal(0, 1, (400, 8))


def test_episode_is_reproducible() -> None:
    a, b = (synthetic_faults.episode(np.random.default_rng(7), BACKGROUND, 400, 1150) for _ in range(2))
    assert np.array_equal(a.deviations, b.deviations) and np.array_equal(a.label, b.label, equal_nan=True)
    assert np.array_equal(a.weight, b.weight) and a.begin == b.begin


def test_episode_begins_with_baseline_and_mostly_has_fault() -> None:
    episodes = [synthetic_faults.episode(np.random.default_rng(seed), BACKGROUND, 400, 1150) for seed in range(100)]
    assert all(np.array_equal(sample.deviations[:100], BACKGROUND[:100]) for sample in episodes)
    assert all(not sample.label[:400].any() for sample in episodes)
    assert 55 <= sum(bool(np.nan_to_num(sample.label).any()) for sample in episodes) <= 85
    assert any(sample.begin for sample in episodes) and all(sample.begin <= len(sample.deviations) - 200 for sample in episodes)


def test_long_background_is_mostly_unchanged() -> None:
    background = np.random.default_rng(2).normal(0, 1, (1150, 8))
    sample = [synthetic_faults.episode(np.random.default_rng(seed), background, 400, 1150) for seed in range(40)]
    untouched = [each for each in sample if not np.nan_to_num(each.label, nan=1.0).any()]
    assert any(np.array_equal(each.deviations, background) for each in untouched)


def test_drift_is_slow() -> None:
    for seed in range(20):
        curve = synthetic_faults.drift(np.random.default_rng(seed), 700, synthetic_faults.DRIFT)
        assert not curve[0].any()
        assert np.abs(np.diff(curve, axis=0)).max() < 0.5


def test_fault_changes_no_row_before_onset() -> None:
    for seed in range(50):
        z = np.zeros((800, 8))
        label = np.zeros(800, np.float32)
        onset, over = synthetic_faults.lay_fault(np.random.default_rng(seed), z, label, 430)
        assert np.flatnonzero(label != 0)[0] == onset
        assert not z[:onset].any()
        assert not (label[:onset] == 1).any() and not (label[over:] == 1).any()
        labelled = label == 1
        assert (np.abs(z[labelled]).max(axis=1) > 0).all(), "no label without a change"


def test_fault_label_lasts_until_settled() -> None:
    for seed in range(20):
        z, label = np.zeros((1150, 8)), np.zeros(1150, np.float32)
        _, healthy = synthetic_faults.lay_fault(np.random.default_rng(seed), z, label, 430)
        assert (label[healthy - synthetic_faults.SETTLING_ROWS : healthy] == 1).all() and np.isnan(
            label[healthy : healthy + synthetic_faults.UNLABELLED_ROWS]
        ).all()
        assert not np.diff(z[healthy - synthetic_faults.SETTLING_ROWS : healthy], axis=0).any(), "the release is over"


def test_background_extension_has_no_jump() -> None:
    smooth = np.sin(np.arange(400) / 30)[:, None] * np.ones(8)
    for seed in range(20):
        assert np.abs(np.diff(synthetic_faults.extend(np.random.default_rng(seed), smooth, 1500), axis=0)).max() < 0.05


def test_means_cover_each_step_once() -> None:
    for spans in SPANS:
        matrix = means(60, spans)
        assert np.allclose(matrix.sum(0), 1.0)
        assert ((matrix > 0).sum(1) == 1).all()
        assert tuple((matrix > 0).sum(0)) == spans
        assert matrix[-spans[0] :, 0].all()
