"""The model's input for each row of a table, computed as on a device, and its derived columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.messages import MISSING
from edgeml.model.manifest import Manifest
from edgeml.model.window import Window
from model_training.tables.table import Table, derived_values


class Examples(NamedTuple):
    """Inputs of the m rows in which a device has a decision.

    Attributes:
        x: (m, steps, features) float32.
        target: (m,) float64.
        unit: (m,) int32.
        row: (m,) int, index of the row in the table.
    """

    x: np.ndarray
    target: np.ndarray
    unit: np.ndarray
    row: np.ndarray

    def of(self, chosen: np.ndarray) -> Examples:
        """The examples of a mask."""
        return Examples(*(column[chosen] for column in self))


def build(manifest: Manifest, table: Table) -> Examples:
    """Build the inputs of all rows."""
    mean, std = np.array(manifest.scaling.mean), np.array(manifest.scaling.std)
    scaled = ((table.values - mean) / std).astype(np.float32)
    if not table.ordered:
        rows = np.arange(len(table))
        return Examples(np.clip(scaled, -manifest.clip, manifest.clip)[:, None], table.target, table.unit, rows)
    faults = np.where(np.isfinite(table.values), 0, MISSING).astype(np.uint8)
    faulty = np.any(faults, axis=1)
    x, at = [], []
    starts = np.append(np.flatnonzero(np.diff(table.unit, prepend=-1)), len(table))
    for start, end in zip(starts[:-1], starts[1:], strict=True):
        window = Window(manifest, np.array(manifest.scaling.spread) / std)
        for row in range(start, end):
            window.push(row, scaled[row], faults[row] if faulty[row] else None)
            if window.count >= manifest.min_rows and window.fault() is None:
                x.append(window.features())
                at.append(row)
    steps, features = manifest.input_shape
    chosen = np.array(at, int)
    return Examples(np.array(x, np.float32).reshape(-1, steps, features), table.target[chosen], table.unit[chosen], chosen)


def flat(manifest: Manifest, table: Table, x: np.ndarray) -> np.ndarray:
    """Features (m, k) of inputs, with the derived columns of each step, as the network and the baselines see them."""
    return np.concatenate([x.reshape(len(x), -1), derived(manifest, table, x).reshape(len(x), -1)], 1).astype(np.float64)


def derived(manifest: Manifest, table: Table, x: np.ndarray) -> np.ndarray:
    """Derived columns (m, steps, views * d) of inputs, in the units of the formulas."""
    mean, std, c = np.array(manifest.scaling.mean), np.array(manifest.scaling.std), len(table.channels)
    views = [derived_values(table, mean + std * x[..., at * c : (at + 1) * c]) for at in range(len(manifest.views))]
    return np.concatenate(views, -1)
