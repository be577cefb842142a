"""The channels that imply another one, for explanations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeml.model.manifest import DerivedColumn, HingeColumn
from model_training.machine.fitting import Fit

MAX_PARTNERS = 3
MIN_SHARE = 0.1
"""A partner explains at least this share of what the strongest one does."""


def partners(fit: Fit, columns: Sequence[DerivedColumn], measured: Sequence[int], channels: int) -> tuple[tuple[int, ...], ...]:
    """For each channel the channels with the largest weight in its relation, context included, strongest first; at most 3.

    Args:
        columns: the derived columns of the model; a shape counts for its channel.
    """
    found: list[tuple[int, ...]] = []
    for channel in range(channels):
        if channel not in measured or len(measured) < 2:
            found.append(())
            continue
        weights = np.abs(fit.matrix[:channels, channels + channel]).copy()
        for place, column in enumerate(columns, channels):
            if isinstance(column, HingeColumn):
                weights[column.channel] += abs(fit.matrix[place, channels + channel])
        weights[channel] = 0
        order = np.argsort(-weights, kind="stable")[:MAX_PARTNERS]
        strongest = weights[order[0]] if len(order) else 0.0
        found.append(tuple(int(each) for each in order if weights[each] > max(MIN_SHARE * strongest, 1e-9)))
    return tuple(found)
