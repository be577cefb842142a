"""Synthetic episodes: seeded, labelled where and only where something is laid over the rows."""

from __future__ import annotations

import numpy as np
from model_training.anomaly import synth

BACKGROUND = np.random.default_rng(1).normal(0, 1, (400, 8))


def test_the_same_seed_gives_the_same_episode() -> None:
    a, b = (synth.episode(np.random.default_rng(7), BACKGROUND, 500, fault=True) for _ in range(2))
    assert np.array_equal(a.deviations, b.deviations) and np.array_equal(a.label, b.label, equal_nan=True)


def test_without_a_fault_nothing_is_labelled_and_drift_is_slow() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert not synth.episode(rng, BACKGROUND, 700, fault=False).label.any()
        curve = synth.drift(rng, 700, synth.DRIFT)
        assert not curve[0].any()
        assert np.abs(np.diff(curve, axis=0)).max() < 0.5


def test_a_fault_changes_rows_from_its_onset_on_and_none_before() -> None:
    for seed in range(50):
        z = np.zeros((800, 8))
        label = np.zeros(800, np.float32)
        synth.lay_fault(np.random.default_rng(seed), z, label)
        onset = np.flatnonzero(label != 0)[0]
        assert not z[:onset].any()
        labelled = label == 1
        assert labelled.any()
        assert (np.abs(z[labelled]).max(axis=1) > 0).all(), "no label without a change"


def test_the_background_is_extended_without_a_jump() -> None:
    smooth = np.sin(np.arange(400) / 30)[:, None] * np.ones(8)
    for seed in range(20):
        assert np.abs(np.diff(synth.extend(np.random.default_rng(seed), smooth, 1500), axis=0)).max() < 0.05
