"""Golden windows of a bundle that was trained: inputs of its own kind, and what it answers to them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from edgeml import golden
from edgeml.bundle import Bundle, Manifest, save
from edgeml.engines import open_engine
from edgeml.scaling import Baseline
from edgeml.scoring import AssetScorer
from model_training import paths as _paths  # noqa: F401  the components become importable
from sensor_ingestion.sources.pump import CHANNELS, Fault, PumpSkid

COUNT = 6
SEED = 20260


def write(folder: Path) -> Bundle:
    """Add golden windows to the bundle in `folder`; its signature, if it had one, is gone."""
    bundle = Bundle.load(folder)
    return golden.add(folder, windows(bundle), open_engine(bundle))


def rename(folder: Path, version: str) -> Bundle:
    """Give the bundle in `folder` another version; its golden windows and signature, if it had any, are gone."""
    bundle = Bundle.load(folder)
    return save(folder, msgspec.structs.replace(bundle.manifest, version=version), bundle.model)


def windows(bundle: Bundle) -> np.ndarray:
    """(n, steps, features) float32: of the simulated pump, normal and with a closing valve, where the model is of its channels and
    learns a baseline; else seeded noise."""
    manifest = bundle.manifest
    names = [channel.name for channel in CHANNELS]
    if manifest.scaling.kind == "baseline" and set(manifest.names) <= set(names):
        return _simulated(bundle, [names.index(name) for name in manifest.names])
    noise = np.random.default_rng(SEED).normal(0, 1, (COUNT, *manifest.input_shape))
    return np.clip(noise, -manifest.clip, manifest.clip).astype(np.float32)


class _Keep:
    """Keeps what a model is given."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.inputs.append(features.copy())
        return 0.0


def _simulated(bundle: Bundle, order: list[int]) -> np.ndarray:
    manifest = bundle.manifest
    learn, rows = manifest.scaling.rows, _rows(manifest)
    pump = PumpSkid(SEED, faults=[Fault("valve", start_s=(learn + rows) * manifest.interval_s)])
    values = pump.step(learn + 2 * rows).values[:, order].astype(np.float32)
    keep = _Keep()
    baseline = Baseline.fit(manifest, values[:learn], np.zeros(learn, np.int64))
    times = (np.arange(len(values)) * manifest.interval_s * 1e9).astype(np.int64)
    AssetScorer(bundle, keep, baseline).feed(times[learn:], values[learn:], np.zeros((2 * rows, len(order)), np.uint8))
    picked = np.linspace(0, len(keep.inputs) - 1, COUNT).round().astype(int)
    return np.stack([keep.inputs[index] for index in picked])


def _rows(manifest: Manifest) -> int:
    return max(view.rows for view in manifest.views)
