"""A small bundle without a network, and engines that answer from the input alone: for tests of windows and scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeml.model.bundle import Bundle, save
from edgeml.model.manifest import FORMAT, Calibration, Channel, Manifest, Scaling, Stopped, View

SECOND = 1_000_000_000
SHIPPED = Path(__file__).parents[2] / "model_training" / "bundles" / "pump_anomaly"

MANIFEST = Manifest(
    format=FORMAT,
    name="tiny",
    version="1.0.0",
    channels=(Channel(name="current", unit="A"), Channel(name="flow", unit="l/min")),
    interval_s=1.0,
    longest_gap_s=5.0,
    views=(View(every=1, steps=4), View(every=3, steps=4)),
    min_rows=4,
    clip=8.0,
    scaling=Scaling(kind="baseline", rows=30),
    stopped=Stopped(channel="current", below=0.5, for_rows=2, settle_s=3.0),
    score="the largest deviation",
    verdict_level=0.5,
    prior=0.5,
    calibration=Calibration(),
    provenance={},
    digests={},
)


def tiny(folder: Path, **changes: Any) -> Bundle:
    """The small bundle with some keys of its manifest changed; its model is no network."""
    return save(folder, msgspec.structs.replace(MANIFEST, **changes), b"no network")


class Largest:
    """Answers with the largest deviation in the latest step of the shortest view, over 10; keeps every input."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.inputs.append(features.copy())
        return float(np.abs(features[-1, :2]).max() / 10)


def normal(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """n good rows of a running machine, a second apart: times, values, quality."""
    values = np.array([5.0, 30.0]) + np.random.default_rng(seed).normal(0, 1, (n, 2)).clip(-2, 2) * [0.1, 0.5]
    return np.arange(1, n + 1, dtype=np.int64) * SECOND, values.astype(np.float32), np.zeros((n, 2), np.uint8)
