"""Golden windows of a trained bundle: inputs with the confidences that the model must reproduce on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from edgeml.model import self_test
from edgeml.model.baseline import Baseline
from edgeml.model.bundle import Bundle, assemble, save
from edgeml.model.manifest import Manifest
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer
from model_training import component_path as _paths  # noqa: F401  the components become importable
from model_training.input_recorder import InputRecorder
from sensor_ingestion.sources.pump_physics import CHANNELS, Fault, PumpSkid

SEED = 20260
FAULTS = ("valve", "imbalance")
RAMP_S, SEVERITY = 400.0, 0.5
"""A slow and weak fault, so that the confidence passes through all levels over many rows."""
NOISES, BETWEEN = 400, 100
"""For a model of other channels: number of noise windows, and of interpolation steps between two of them."""
LEVEL_CLEARANCE = 1.2
"""Minimum distance of a window from a level, in multiples of the rounding error that the self-test allows."""
SPREAD = (0.0, 0.15, 0.25, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Target confidences of the windows, besides the nearest ones on both sides of each level."""


def write(folder: Path) -> Bundle:
    """Add golden windows to the bundle in `folder`. This removes its signature."""
    bundle = Bundle.load(folder)
    engine = open_engine(bundle)

    def score_windows(inputs: np.ndarray) -> np.ndarray:
        """Score and confidence of each window, (n, 2)."""
        return np.array([self_test.confidence(bundle.manifest, engine, each) for each in inputs])

    candidates = windows(bundle.manifest, score_windows)
    # The contrasts of a view and a reference are small beside their values.
    kind = np.int8 if bundle.manifest.reference is None else np.int16
    scale = float(np.abs(candidates).max()) / np.iinfo(kind).max
    quantised = np.rint(candidates / scale).astype(kind)
    scores, confidences = score_windows(quantised * np.float32(scale)).T
    margins = LEVEL_CLEARANCE * np.array([self_test.allowed(bundle.manifest, engine, score) for score in scores.tolist()])
    chosen = choose(confidences, margins, self_test.levels(bundle.manifest))
    return self_test.add(folder, [quantised[index] for index in chosen], scale, engine)


def rename(folder: Path, version: str) -> Bundle:
    """Set the version of the bundle in `folder`. This removes its golden windows and its signature."""
    bundle = Bundle.load(folder)
    return save(folder, msgspec.structs.replace(bundle.manifest, version=version), bundle.model)


def choose(confidences: np.ndarray, margins: np.ndarray, levels: Sequence[float]) -> list[int]:
    """Increasing indices of the windows nearest to `SPREAD` and, beyond their margin, nearest to each level on both sides."""
    chosen = {int(np.abs(confidences - target).argmin()) for target in SPREAD}
    for level in levels:
        for side in (-1, 1):
            distance = side * (confidences - level)
            distance = np.where(distance >= margins, distance, np.inf)
            if np.isfinite(distance).any():
                chosen.add(int(distance.argmin()))
    return sorted(chosen)


def windows(manifest: Manifest, score_windows: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Candidate windows, (windows, successive rows, steps, features) float32.

    If the model uses the pump's channels and learns a baseline, the windows come from the simulated pump while a fault develops.
    Otherwise they are seeded noise of several amplitudes, around the reference if the model has one, and interpolations between noise of
    low and of high confidence.

    Args:
        score_windows: gives the scores and the confidences of such windows, (n, 2).
    """
    names = [channel.name for channel in CHANNELS]
    if manifest.scaling.kind == "baseline" and set(manifest.names) <= set(names):
        return _simulated(manifest, [names.index(name) for name in manifest.names])
    random = np.random.default_rng(SEED)
    shape = manifest.input_shape
    offset = random.normal(0, 1, (NOISES, 1, 1, shape[1]))
    noise = random.normal(0, 0.5, (NOISES, manifest.smooth_rows, *shape))
    if manifest.reference is None:
        amplified = np.geomspace(0.1, 4, NOISES)[:, None, None, None] * (offset + noise)
    else:
        amplified = _around_reference(manifest, offset + noise, random)
    noise_windows = np.clip(amplified, -manifest.clip, manifest.clip).astype(np.float32)
    order = score_windows(noise_windows)[:, 1].argsort()
    part = np.linspace(0, 1, BETWEEN, dtype=np.float32)[:, None, None, None]
    between = [
        noise_windows[low] + part * (noise_windows[high] - noise_windows[low]) for low, high in zip(order[:4], order[:-5:-1], strict=True)
    ]
    return np.concatenate([noise_windows, *between])


def _around_reference(manifest: Manifest, noise: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Noise around one reference per window; that of a view falls with the root of its rows, as the noise of a mean does."""
    columns = len(manifest.channels) + len(manifest.columns)
    spread = np.array([*(view.every**-0.5 for view in manifest.views), 0.0])
    contrast = np.geomspace(0.1, 20, len(noise))[:, None] * spread
    reference = np.tile(random.normal(0, 1, (len(noise), columns)), len(manifest.views) + 1)
    return np.asarray(reference[:, None, None, :] + np.repeat(contrast, columns, axis=1)[:, None, None, :] * noise)


def _simulated(manifest: Manifest, order: list[int]) -> np.ndarray:
    learn, rows = manifest.scaling.rows, max(view.rows for view in manifest.views)
    runs = []
    for kind in FAULTS:
        fault = Fault(kind, start_s=(learn + rows) * manifest.interval_s, ramp_s=RAMP_S, severity=SEVERITY)
        values = PumpSkid(SEED, faults=[fault]).step(learn + 2 * rows).values[:, order].astype(np.float32)
        recorder = InputRecorder()
        baseline = Baseline.fit(manifest, values[:learn], np.zeros(learn, np.int64))
        times = (np.arange(len(values)) * manifest.interval_s * 1e9).astype(np.int64)
        AssetScorer(assemble(manifest, b""), recorder, baseline).feed(
            times[learn:], values[learn:], np.zeros((2 * rows, len(order)), np.uint8)
        )
        # Every row has a decision, so successive inputs belong to successive rows.
        runs.append(np.lib.stride_tricks.sliding_window_view(np.stack(recorder.inputs), manifest.smooth_rows, axis=0))
    return np.moveaxis(np.concatenate(runs), -1, 1)
