"""The columns of a row in a model with a `reference`: the scaled channels, and the columns that are derived from them and from the time.

`edgeml.model.manifest.Manifest` has the definitions. Values are rounded to multiples of `GRID`, so that sums of them are exact: means do
not depend on the order of the additions, on the division into blocks, or on rows that left the window long ago.
"""

from __future__ import annotations

import math

import numpy as np

from edgeml.model.manifest import CycleColumn, HingeColumn, LagColumn, Manifest

GRID = 2.0**-16
WEEK_BEGIN_NS = 4 * 86_400 * 10**9
"""1970-01-05T00:00Z, a Monday, in ns."""


class DerivedColumns:
    """Computes the columns of one asset's rows. Lags depend on earlier rows: `append_lags` must be called for each row in turn."""

    def __init__(self, manifest: Manifest) -> None:
        c = len(manifest.channels)
        self._manifest, self._clip = manifest, manifest.clip
        self._mean, self._std = np.array(manifest.scaling.mean), np.array(manifest.scaling.std)
        self._lags = _lags_by_depth(manifest)
        self.width = c + len(manifest.columns)
        self.restart()

    def restart(self) -> None:
        """Forget the state of the lags."""
        self._states = [np.full(len(lags), np.nan) for lags, _, _ in self._lags]

    def block(self, times: np.ndarray, values: np.ndarray, faults: np.ndarray) -> np.ndarray:
        """The columns of rows, (n, F) float32, without the lags, which are NaN; faulty values are NaN.

        Args:
            times: (n,) int64, event time in ns.
            values: (n, c) float, in the channels' units; any number where faulty.
            faults: (n, c), not 0 where a value is faulty.
        """
        c = len(self._mean)
        columns = np.full((len(times), self.width), np.nan)
        z = np.clip((values - self._mean) / self._std, -self._clip, self._clip)
        z = np.rint(np.where(faults != 0, np.nan, z) / GRID) * GRID
        columns[:, :c] = z
        for number, column in enumerate(self._manifest.columns, c):
            if isinstance(column, CycleColumn):
                columns[:, number] = np.rint(_cycle(times, column) / GRID) * GRID
            elif isinstance(column, HingeColumn):
                columns[:, number] = np.rint(np.maximum(z[:, column.channel] - column.at, 0) / GRID) * GRID
        return columns.astype(np.float32)

    def append_lags(self, row: np.ndarray) -> None:
        """Set the lags of the next row, (F,) float32, in place."""
        for (lags, sources, share), state in zip(self._lags, self._states, strict=True):
            now = row[sources].astype(np.float64)
            if math.isnan(now.sum() + state.sum()):
                good, new = np.isfinite(now), np.isnan(state)
                state[:] = np.where(good, np.where(new, now, state + (now - state) * share), state)
                row[lags] = np.where(good, np.rint(state / GRID) * GRID, np.nan)
            else:
                state += (now - state) * share
                row[lags] = np.rint(state / GRID) * GRID

    def complete_lags(self, row: np.ndarray) -> None:
        """Set the lags of the row, (F,) float32, that `append_lags` could not set, because its faulty values are imputed now."""
        for (lags, sources, share), state in zip(self._lags, self._states, strict=True):
            now = row[sources].astype(np.float64)
            new = np.isnan(row[lags]) & np.isfinite(now)
            state[new] = np.where(np.isnan(state), now, state + (now - state) * share)[new]
            row[lags[new]] = np.rint(state[new] / GRID) * GRID

    def all(self, times: np.ndarray, values: np.ndarray, faults: np.ndarray) -> np.ndarray:
        """The columns of successive rows with their lags, (n, F) float32; the arguments are those of `block`."""
        rows = self.block(times, values, faults)
        if self._lags:
            for row in rows:
                self.append_lags(row)
        return rows


def _cycle(times: np.ndarray, column: CycleColumn) -> np.ndarray:
    # The remainder of whole nanoseconds is exact; the angle of a time since 1970 is not.
    period = max(1, round(column.period_s * 1e9))
    passed = (times - WEEK_BEGIN_NS + round(column.offset_s * 1e9)) % period
    angle = 2 * math.pi * (passed / period * column.harmonic % 1)
    return np.sin(angle) if column.phase == "sin" else np.cos(angle)


def _lags_by_depth(manifest: Manifest) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Groups of lags whose sources are known before them: the columns, their sources, and the share of a new value in the mean."""
    c = len(manifest.channels)
    depth: dict[int, int] = {}
    groups: dict[int, list[tuple[int, int, float]]] = {}
    for number, column in enumerate(manifest.columns, c):
        if isinstance(column, LagColumn):
            depth[number] = depth.get(column.column, -1) + 1
            groups.setdefault(depth[number], []).append((number, column.column, 1 / column.rows))
    return [
        (np.array([lag for lag, _, _ in group]), np.array([source for _, source, _ in group]), np.array([share for _, _, share in group]))
        for _, group in sorted(groups.items())
    ]
