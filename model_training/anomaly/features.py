"""The model's input for many rows at once: the same numbers as `edgeml.model.window.Window`; a test compares the two."""

from __future__ import annotations

import numpy as np

from edgeml.model.manifest import Manifest


def features(manifest: Manifest, deviations: np.ndarray, relative_spread: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Inputs at selected rows of n rows, the first of which begins the window.

    Args:
        deviations: (n, c) in standard deviations, all values good; n is at least the longest view's `every`.
        relative_spread: (views, c), spread of each view's steps as a share of the standard deviation.
        at: (k,) row indices.

    Returns:
        (k, steps, views * c) float32.
    """
    n = len(deviations)
    parts = []
    for view, spread in zip(manifest.views, relative_spread, strict=True):
        sums = np.concatenate([np.zeros((1, deviations.shape[1])), np.cumsum(deviations, axis=0, dtype=np.float64)])
        last = np.arange(1, n + 1)
        first = np.maximum(0, last - view.every)
        means = (sums[last] - sums[first]) / (last - first)[:, None]
        rows = at[:, None] - np.arange(view.steps - 1, -1, -1)[None, :] * view.every
        parts.append((means / spread)[np.maximum(rows, view.every - 1)])
    return np.clip(np.concatenate(parts, axis=2), -manifest.clip, manifest.clip).astype(np.float32)
