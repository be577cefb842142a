"""Training examples: inputs of the model with their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from edgeml.model.baseline import Baseline
from edgeml.model.bundle import assemble
from edgeml.model.manifest import Manifest
from edgeml.model.scorer import AssetScorer
from model_training.anomaly.features import features
from model_training.anomaly.rig_recordings import BASELINE_ROWS, Fault, MaintenanceStop, simulate, training_rows
from model_training.anomaly.synthetic_faults import episode
from model_training.datasets import Recording
from model_training.input_recorder import InputRecorder

FIRST_SEED = 1000
"""First seed for training. Simulated pumps with smaller seeds are reserved for evaluation."""

EPISODES, PUMPS, SAMPLED_ROWS = 60, 60, 25
"""Number of synthetic episodes over each background, of simulated pumps, and of rows sampled from an episode."""

MAX_ROWS, BACKGROUND_STEP = 1150, 100
"""Maximum number of rows of an episode and of a background, and number of rows between the backgrounds of a longer recording."""

LEARNED_LEVEL = 0.15
"""Level from which a simulated fault is labelled. Rows with a lower level, but above 0, are not used."""

STUCK = (0.1, 0.1, 0.05, 0.4, 0.05, 0.05, 0.05, 0.2)
"""Probability of each channel to be the stuck one. The quality checks need longest to detect a coarse sensor as stuck."""


class Examples(NamedTuple):
    """x (n, steps, features) float32, y (n,) 0 or 1."""

    x: np.ndarray
    y: np.ndarray


def build(
    manifest: Manifest,
    recordings: Sequence[Recording],
    seed: int,
    log: Callable[[str], None],
    episodes: int = EPISODES,
    pumps: int = PUMPS,
) -> Examples:
    """Build the examples from recordings and simulated pumps.

    Args:
        episodes: synthetic episodes per background.
        pumps: number of simulated pumps.
    """
    rng = np.random.default_rng(seed)
    parts = [from_recording(manifest, recording, rng, episodes) for recording in recordings]
    log(f"synthetic episodes over {len(recordings)} recordings: {sum(len(p.y) for p in parts)} examples")
    for i in range(pumps):
        parts.append(from_pump(manifest, FIRST_SEED + seed * 10_000 + i, rng))
        if (i + 1) % 20 == 0:
            log(f"simulated pumps: {i + 1}/{pumps}")
    return Examples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def from_recording(manifest: Manifest, recording: Recording, rng: np.random.Generator, episodes: int) -> Examples:
    """Examples of episodes over each background in the normal rows of one recording."""
    rows = training_rows(recording)
    parts = []
    for start in range(0, max(1, len(rows) - MAX_ROWS + 1), BACKGROUND_STEP):
        baseline = Baseline.fit(manifest, rows[start : start + BASELINE_ROWS], np.zeros(min(len(rows), BASELINE_ROWS), int))
        relative = np.array(baseline.spread) / np.array(baseline.std)
        z = (rows[start : start + MAX_ROWS] - np.array(baseline.mean)) / np.array(baseline.std)
        for _ in range(episodes):
            sample = episode(rng, z, BASELINE_ROWS, MAX_ROWS)
            learned = np.flatnonzero(~np.isnan(sample.label))
            learned = learned[learned >= max(sample.begin + manifest.min_rows - 1, BASELINE_ROWS)]
            chance = sample.weight[learned] / sample.weight[learned].sum()
            at = rng.choice(learned, SAMPLED_ROWS, p=chance)
            parts.append(Examples(features(manifest, sample.deviations[sample.begin :], relative, at - sample.begin), sample.label[at]))
    return Examples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def from_pump(manifest: Manifest, seed: int, rng: np.random.Generator) -> Examples:
    """Examples of one simulated pump: healthy, with a sensor fault or with a machine fault; with or without a maintenance stop."""
    run = simulate(seed, *_scenario(manifest, rng))
    recorder = InputRecorder()
    scorer = AssetScorer(assemble(manifest, b""), recorder)
    result, _ = scorer.feed(run.times, run.values, np.zeros(run.values.shape, np.uint8))
    decided = np.flatnonzero(result.reason == 0)
    level = run.level[decided]
    known = np.flatnonzero((level == 0) | (level >= LEARNED_LEVEL))
    sampled = rng.choice(known, min(max(250, len(known) // 8), len(known)), replace=False)
    x = np.stack([recorder.inputs[i] for i in sampled])
    y = (level[sampled] > 0).astype(np.float32)
    return Examples(x, y)


def _scenario(manifest: Manifest, rng: np.random.Generator) -> tuple[int, tuple[Fault, ...], tuple[MaintenanceStop, ...]]:
    """Draw rows, faults and maintenance stops of one simulated pump."""
    kind = rng.choice(["none", "valve", "imbalance", "cavitation", "sensor-stuck", "sensor-gap"], p=[0.3, 0.23, 0.12, 0.12, 0.19, 0.04])
    # A healthy pump runs for hours, because its slow drift must be learned as normal.
    rows = int(rng.integers(3000, 9000) if kind == "none" else rng.integers(1400, 3600))
    start = int(rng.integers(BASELINE_ROWS + 60, rows - 400))
    fault = Fault(
        str(kind),
        start_s=float(start),
        ramp_s=float(np.exp(rng.uniform(np.log(5), np.log(400)))),
        severity=float(rng.uniform(0.4, 1.0)),
        channel=str(rng.choice(manifest.names, p=STUCK)),
    )
    stops: tuple[MaintenanceStop, ...] = ()
    if rng.random() < 0.6:
        at = min(rows - 300, start + int(rng.integers(20, 500)))
        stops = (MaintenanceStop(at, int(np.exp(rng.uniform(np.log(5), np.log(250)))), repair=bool(rng.random() < 0.85)),)
    return rows, (fault,), stops
