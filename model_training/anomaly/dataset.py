"""Training examples: inputs of the model with what it should answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from edgeml.bundle import MODEL, Bundle, Digest, Manifest
from edgeml.scaling import Baseline
from edgeml.scoring import AssetScorer
from model_training.anomaly.data import BASELINE_ROWS, Fault, Recording, Visit, simulate, training_rows
from model_training.anomaly.features import features
from model_training.anomaly.synth import episode

FIRST_SEED = 1000
"""Simulated pumps with smaller seeds are for judging; none of them trains."""

EPISODES, PUMPS = 40, 80

LEARNED_LEVEL = 0.15
"""A simulated fault counts as one from this level on; below it, neither answer is learned."""

STUCK = (0.1, 0.1, 0.05, 0.4, 0.05, 0.05, 0.05, 0.2)
"""How often each channel sticks, in a simulated pump whose sensor does. A coarse sensor takes longest to be known as stuck."""


class Examples(NamedTuple):
    """x (n, steps, features) float32, y (n,) 0 or 1, weight (n,)."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray


def build(
    manifest: Manifest, recordings: Sequence[Recording], seed: int, progress: Callable[[str], None],
    episodes: int = EPISODES, pumps: int = PUMPS,
) -> Examples:
    """Examples from recordings and simulated pumps.

    Args:
        episodes: synthetic ones per recording.
        pumps: how many are simulated.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for recording in recordings:
        parts.append(from_recording(manifest, recording, rng, episodes))
    progress(f"synthetic episodes over {len(recordings)} recordings: {sum(len(p.y) for p in parts)} examples")
    for i in range(pumps):
        parts.append(from_pump(manifest, FIRST_SEED + seed * 10_000 + i, rng))
        if (i + 1) % 40 == 0:
            progress(f"simulated pumps: {i + 1}/{pumps}")
    x, y, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    # Half of the weight to each answer: the prior of the score.
    for answer in (0, 1):
        weight[y == answer] /= weight[y == answer].sum() / (len(y) / 2)
    return Examples(x, y, weight.astype(np.float32))


def from_recording(manifest: Manifest, recording: Recording, rng: np.random.Generator, episodes: int) -> Examples:
    """Synthetic episodes over the normal rows of one recording, and those rows as they are."""
    rows = training_rows(recording)
    parts = []
    starts = range(0, max(1, len(rows) - 2 * BASELINE_ROWS), 150)
    for i in range(episodes):
        start = starts[i % len(starts)]
        fitted = rows[start:start + BASELINE_ROWS]
        baseline = Baseline.fit(manifest, fitted, np.zeros(len(fitted), int))
        relative = np.array(baseline.spread) / np.array(baseline.std)
        z = (rows[start:] - np.array(baseline.mean)) / np.array(baseline.std)
        made = episode(rng, z[:BASELINE_ROWS], int(rng.integers(300, 1100)), fault=rng.random() < 0.65)
        parts.append(_pick(manifest, made.deviations, made.label, relative, rng, 40))
        if len(rows) > BASELINE_ROWS and i < len(starts):
            parts.append(_pick(manifest, z, np.zeros(len(z)), relative, rng, 60))
    return Examples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _pick(
    manifest: Manifest, z: np.ndarray, label: np.ndarray, relative: np.ndarray, rng: np.random.Generator, most: int,
) -> Examples:
    known = np.flatnonzero(~np.isnan(label))
    at = rng.choice(known[known >= manifest.min_rows - 1], most)
    # Rows soon after a change decide how fast and how surely an alarm comes.
    change = np.flatnonzero(np.diff(np.nan_to_num(label, nan=0.5)) != 0)
    near = (at[:, None] - change[None, :] if len(change) else np.full((len(at), 1), -1))
    weight = np.where(((near >= 0) & (near < 90)).any(axis=1), 2.0, 1.0)
    return Examples(features(manifest, z, relative, at), label[at], weight)


class Capture:
    """Stands in for the engine of a scorer and keeps the inputs."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.inputs.append(features)
        return 0.0


def from_pump(manifest: Manifest, seed: int, rng: np.random.Generator) -> Examples:
    """One simulated pump: healthy, with a fault of a sensor, or with a fault of the machine; stopped and started or not."""
    run = simulate(seed, *_story(manifest, rng))
    capture = Capture()
    scorer = AssetScorer(unverified(manifest), capture)
    result, _ = scorer.feed(run.times, run.values, np.zeros(run.values.shape, np.uint8))
    decided = np.flatnonzero(result.reason == 0)
    level = run.level[decided]
    known = np.flatnonzero((level == 0) | (level >= LEARNED_LEVEL))
    picked = rng.choice(known, min(max(250, len(known) // 8), len(known)), replace=False)
    x = np.stack([capture.inputs[i] for i in picked])
    y = (level[picked] > 0).astype(np.float32)
    return Examples(x, y, np.ones(len(y)))


def _story(manifest: Manifest, rng: np.random.Generator) -> tuple[int, tuple[Fault, ...], tuple[Visit, ...]]:
    """Rows, faults and visits of one simulated pump."""
    kind = rng.choice(["none", "valve", "imbalance", "cavitation", "sensor-stuck", "sensor-gap"], p=[0.3, 0.23, 0.12, 0.12, 0.19, 0.04])
    # A healthy pump is followed for hours: what its slow drift looks like has to be learned as normal.
    rows = int(rng.integers(3000, 9000) if kind == "none" else rng.integers(1400, 3600))
    start = int(rng.integers(BASELINE_ROWS + 60, rows - 400))
    fault = Fault(
        str(kind), start_s=float(start), ramp_s=float(np.exp(rng.uniform(np.log(5), np.log(400)))),
        severity=float(rng.uniform(0.4, 1.0)),
        channel=str(rng.choice(manifest.names, p=STUCK)),
    )
    visits: tuple[Visit, ...] = ()
    if rng.random() < 0.6:
        at = min(rows - 300, start + int(rng.integers(20, 500)))
        visits = (Visit(at, int(np.exp(rng.uniform(np.log(5), np.log(250)))), repair=bool(rng.random() < 0.85)),)
    return rows, (fault,), visits


def unverified(manifest: Manifest) -> Bundle:
    """A bundle around a manifest whose model is not there yet."""
    empty = Digest(sha256=hashlib.sha256(b"").hexdigest(), bytes=0)
    return Bundle(msgspec.structs.replace(manifest, digests={MODEL: empty}), b"")
