"""The view of a model that explains its scores, in words for an operator: `flow is low for current and pressure`. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgeml.messages import ResultColumns
from edgeml.model.manifest import Manifest
from edgeml.model.manifest_policy import effective_policy

MAX_CHANNELS = 3
ALARM_LEVEL = 1.0


def explanation(manifest: Manifest, levels: Sequence[float], relations: Sequence[float]) -> str:
    """The channels that speak for the condition, strongest first: the strongest, and others that are at the alarm level by themselves.

    There are no numbers in it, so that few different texts occur. It is empty if no channel differs from its expected value.

    Args:
        levels, relations: one per channel, as in the model's output; NaN for a channel whose value is faulty, which is not named.
    """
    stronger = {
        number: (max(abs(level), abs(relation)), level, relation)
        for number, (level, relation) in enumerate(zip(levels, relations, strict=True))
        if manifest.names[number] not in manifest.context and not math.isnan(level)
    }
    order = sorted(stronger, key=lambda number: -stronger[number][0])[:MAX_CHANNELS]
    chosen = [number for at, number in enumerate(order) if stronger[number][0] >= (ALARM_LEVEL if at else 1e-6)]
    return "; ".join(_channel(manifest, number, *stronger[number][1:]) for number in chosen)


def explanations(manifest: Manifest, columns: ResultColumns) -> list[str]:
    """The explanation of each row: of decided ones from the confidence on at which the policy leaves an alarm; empty for all others."""
    texts = [""] * len(columns.times)
    if columns.levels is not None and columns.relations is not None:
        least = effective_policy(manifest).clear_at
        with np.errstate(invalid="ignore"):
            chosen = np.flatnonzero((columns.reason == 0) & (columns.confidence >= np.float32(least)))
        for row in chosen.tolist():
            texts[row] = explanation(manifest, columns.levels[row].tolist(), columns.relations[row].tolist())
    return texts


def _channel(manifest: Manifest, number: int, level: float, relation: float) -> str:
    by_relation = abs(relation) > abs(level)
    text = f"{manifest.names[number]} is {'high' if (relation if by_relation else level) > 0 else 'low'}"
    partners = [manifest.names[partner] for partner in manifest.relations[number]] if by_relation and manifest.relations else []
    if not partners:
        return text
    *others, last = partners
    return f"{text} for {', '.join(others)} and {last}" if others else f"{text} for {last}"
