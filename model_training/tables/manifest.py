"""The manifest of a model of a table, without calibration, provenance and digests."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from edgeml.model.bundle import MODEL
from edgeml.model.manifest import FORMAT, Calibration, Channel, Digest, Manifest, Scaling, View
from model_training.tables.calibration import Condition
from model_training.tables.spec import Spec
from model_training.tables.table import Table
from model_training.training_request import TrainingError

INTERVAL_S = 1.0
GAP_INTERVALS = 10
CLIP = 4.0
TAIL, MARGIN = 0.001, 0.1
"""The range of a channel of independent rows: its quantiles at this tail, extended by this share of their distance."""
WEAR_SPANS = (1, 3, 8)
"""Spans of the three views of a life, as multiples of the shortest. Wear shows in means; other targets may depend on the latest row."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")


def model_name(spec: Spec) -> str:
    """Name of the model: that of the spec, or the target in lower case.

    Raises:
        TrainingError: it is not one that folders and components can have.
    """
    name = spec.name or _NOT_A_NAME.sub("_", spec.target.lower()).strip("_")
    if not _NAME.fullmatch(name):
        raise TrainingError(f"{name[:70]!r} is not a model's name; give one of letters, digits, - and _ with --name, such as tool_wear")
    return name


def views(table: Table, spec: Spec) -> tuple[View, ...]:
    """The views: those of the spec, or by the lengths of the units; one row for independent rows."""
    if not table.ordered:
        return (View(every=1, steps=1),)
    if spec.views:
        return tuple(View(every=view.every, steps=view.steps) for view in spec.views)
    short = int(np.quantile(np.bincount(table.unit)[np.unique(table.unit)], 0.1))
    steps = min(6, max(1, short // 2))
    every = min(5, max(1, short // (4 * steps)))
    spans = [every * span for span in WEAR_SPANS] if spec.run_to_failure else sorted({1, every, 4 * every})
    return tuple(View(every=span, steps=steps) for span in spans)


def scaling(table: Table, count: int) -> Scaling:
    """Fixed scaling: mean and standard deviation for a series; for independent rows, the range of each channel to -1 to 1.

    All channels of int8 share one scale of the input, and a range wastes none of its 256 steps.
    """
    values = table.values.astype(np.float64)
    if table.ordered:
        mean, std = np.nanmean(values, 0), np.nanstd(values, 0)
    else:
        low, high = np.quantile(values, TAIL, axis=0), np.quantile(values, 1 - TAIL, axis=0)
        low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
        for at, channel in enumerate(table.channels):
            low[at], high[at] = channel.range or (low[at], high[at])
        mean, std = (low + high) / 2, (high - low) / 2
    std = np.where(std > 0, std, 1.0)
    shown = tuple(tuple(float(f"{value:.9g}") for value in each) for each in (mean, std))
    return Scaling(kind="fixed", mean=shown[0], std=shown[1], spread=(shown[1],) * count)


def build(table: Table, spec: Spec, condition: Condition) -> Manifest:
    """Build the manifest. Its digest is a placeholder; `edgeml.model.bundle.save` sets it."""
    resolution = views(table, spec)
    interval_s = spec.interval_s or table.interval_s or INTERVAL_S
    return Manifest(
        format=FORMAT,
        name=model_name(spec),
        version=spec.version,
        channels=tuple(Channel(name=channel.name, unit=channel.unit) for channel in table.channels),
        interval_s=interval_s,
        longest_gap_s=spec.max_gap_s or GAP_INTERVALS * interval_s,
        views=resolution,
        min_rows=min(view.rows for view in resolution),
        clip=(spec.clip or CLIP) if table.ordered else 1.0,
        scaling=scaling(table, len(resolution)),
        stopped=None,
        score=condition.meaning,
        verdict_level=spec.verdict_level or 0.5,
        prior=condition.prior,
        calibration=Calibration(),
        provenance={},
        digests={MODEL: Digest(sha256="", bytes=0)},
        horizon=condition.horizon,
        classes=table.classes,
    )


def completed(template: Manifest, calibration: Calibration, level: float, provenance: dict[str, Any]) -> Manifest:
    """The manifest with calibration, level and provenance."""
    return msgspec.structs.replace(template, calibration=calibration, verdict_level=level, provenance=provenance)
