"""Missing values of a history: imputed from the other columns, as `edgeml.model.imputation` does on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgeml.model.imputation import Imputation
from edgeml.model.manifest import Manifest
from model_training.machine import series as rows_of
from model_training.machine.candidates import Candidates
from model_training.machine.contrasts import Rows
from model_training.machine.fitting import linear_model
from model_training.machine.layout import Layout
from model_training.machine.series import Series

DIGITS = 6


def weights(rows: Rows, measured: Sequence[int], proposed: Candidates, layout: Layout) -> np.ndarray:
    """The weights with which each measured channel is predicted from the other columns, (c, f).

    It is predicted so that its relation is 0. The relation of another channel then varies no more than with the value
    itself, because it is what is left of that channel after a linear prediction.
    """
    c = proposed.channels
    matrix = linear_model(rows, c, list(measured), proposed.groups, proposed.shapes, layout)
    found = np.zeros((c, len(matrix)))
    for channel in measured:
        found[channel] = -matrix[:, channel if len(measured) < 2 else c + channel]
        found[channel, channel] = 0
    return np.round(found, DIGITS)


def fill(series: Series, manifest: Manifest) -> Series:
    """Impute the missing values; returns the same series if there are none."""
    missing = np.isnan(series.values)
    if not missing.any():
        return series
    mean, std = np.array(manifest.scaling.mean), np.array(manifest.scaling.std)
    values = series.values.copy()
    for place, name in enumerate(manifest.names):
        if name in manifest.context:
            values[:, place] = _held(values[:, place], series.series, mean[place])
    columns = rows_of.evaluate_columns(manifest, replace(series, values=values)).astype(np.float32)
    _fill(columns, series, manifest)
    return replace(series, values=np.where(np.isnan(values), columns[:, : len(mean)] * std + mean, values))


def _held(values: np.ndarray, series: np.ndarray, initial: float) -> np.ndarray:
    """Values, (n,), with the last known one of the same series in place of each that is NaN."""
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
    return np.where(last >= series, values[last], initial)


def _fill(columns: np.ndarray, series: Series, manifest: Manifest) -> None:
    """Impute the missing channels and their hinges in place, (n, f) float32."""
    assert manifest.reference is not None
    imputation, options = Imputation(manifest), manifest.reference
    rows = np.flatnonzero(np.isnan(columns[:, : len(manifest.channels)]).any(axis=1))
    taken = np.flatnonzero(series.normal)
    before = np.concatenate([[0], np.cumsum(series.normal)])
    sums = np.zeros((len(taken) + 1, columns.shape[1]))
    summed = 0
    # The reference of a row has none of the last `delay` rows in it, so that it is known for so many rows at once.
    for begin in range(0, len(columns), options.delay):
        first, last = np.searchsorted(rows, (begin, begin + options.delay))
        if first == last:
            continue
        ready = before[begin]
        sums[summed + 1 : ready + 1] = sums[summed] + np.cumsum(columns[taken[summed:ready]], axis=0, dtype=np.float64)
        summed = ready
        for row in rows[first:last]:
            till = before[max(row - options.delay, series.series[row])]
            since = max(till - options.rows, before[series.series[row]])
            count = till - since
            known = 2 * count >= options.min_rows
            imputation.fill(columns[row], (sums[till] - sums[since]) / count if known else np.zeros(columns.shape[1]))
