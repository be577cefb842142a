"""The baseline of an asset: the statistics of normal running that turn its readings into deviations."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from edgeml.errors import BundleError
from edgeml.model.manifest import Manifest

MAX_STD = 1e30
"""Maximum standard deviation; computations with it fit into float32."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and spread of c channels in normal running.

    Attributes:
        scaling_id: the `Manifest.scaling_id` it was learned for.
        rows: how many rows it was learned from; 0 for the numbers of a manifest.
        mean, std: c each, in the channels' units.
        spread: for each view of the model c: standard deviation of the view's steps, in the channels' units.
    """

    scaling_id: str
    rows: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    spread: tuple[tuple[float, ...], ...]

    @classmethod
    def fixed(cls, manifest: Manifest) -> Baseline:
        """The baseline in a manifest with `fixed` scaling."""
        scaling = manifest.scaling
        return cls(scaling_id=manifest.scaling_id, rows=0, mean=scaling.mean, std=scaling.std, spread=scaling.spread)

    @classmethod
    def fit(cls, manifest: Manifest, rows: np.ndarray, segments: np.ndarray) -> Baseline:
        """Fit on good rows of a running machine.

        Args:
            rows: (n, c) float, in the manifest's order and units.
            segments: (n,) int, increasing; the rows of one segment are contiguous.
        """
        rows = np.asarray(rows, np.float64)
        mean, std = rows.mean(0), rows.std(0)
        # A relative floor below the resolution of float32 readings, for manifests without floors.
        floor = np.maximum([channel.floor for channel in manifest.channels], np.maximum(np.abs(mean) * 1e-6, 1e-9))
        std = np.maximum(std, floor)
        spread = [_spread(rows, segments, view.every, std) for view in manifest.views]
        return cls(
            scaling_id=manifest.scaling_id,
            rows=len(rows),
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            spread=tuple(tuple(s.tolist()) for s in spread),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, to be saved as JSON."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_dict(cls, saved: Any, manifest: Manifest) -> Baseline:
        """The baseline of a `to_dict` value.

        Raises:
            BundleError: it is damaged, or belongs to a model with other inputs.
        """
        try:
            baseline = msgspec.convert(saved, cls, strict=False)
        except (msgspec.ValidationError, RecursionError) as fault:
            raise BundleError(f"a saved baseline cannot be read: {fault}") from None
        if baseline.scaling_id != manifest.scaling_id:
            raise BundleError(
                f"a saved baseline belongs to inputs {baseline.scaling_id}, model {manifest.name} requires {manifest.scaling_id}"
            )
        c = len(manifest.channels)
        shapes = [len(baseline.mean), len(baseline.std), *(len(s) for s in baseline.spread)]
        numbers = np.concatenate([baseline.std, *baseline.spread])
        valid = np.isfinite(baseline.mean).all() and ((numbers > 0) & (numbers < MAX_STD)).all()
        if shapes != [c] * (2 + len(manifest.views)) or not valid:
            raise BundleError(f"a saved baseline does not have {c} valid numbers per row")
        return baseline


def _spread(rows: np.ndarray, segments: np.ndarray, every: int, std: np.ndarray) -> np.ndarray:
    """Standard deviation (c,) of the means of `every` rows, at least that of the means of independent rows."""
    least = std / np.sqrt(every)
    if every == 1 or len(rows) <= every:
        return least
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows - rows.mean(0), axis=0)])
    means = (sums[every:] - sums[:-every]) / every
    whole = segments[every - 1 :] == segments[: len(segments) - every + 1]
    if whole.sum() < 2 * every:
        return least
    return np.maximum(means[whole].std(0), least)
