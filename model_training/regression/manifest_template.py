"""Manifest of the remaining-life model, without calibration, provenance and digests."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgeml.model.bundle import MODEL
from edgeml.model.manifest import FORMAT, Calibration, Channel, Digest, Manifest, Scaling, View

NAME, VERSION = "engine_life", "1.0.0"
CAP = 125.0
"""Maximum remaining life in cycles. An engine with more cycles left shows no wear yet."""
HORIZON = 30.0
"""Cycles within which a failure counts as near."""
PRIOR = 0.15
"""Share of engines in their last 30 cycles, in a fleet whose engines fail after 200 cycles."""
CYCLE_S = 3600.0
"""A cycle is a flight. The data have no times; rows are timed as one flight an hour."""


class Sensor(NamedTuple):
    """A sensor of the data set: its number there, from 1, its name and its unit."""

    number: int
    name: str
    unit: str


SENSORS = (
    Sensor(2, "t24", "°R"),
    Sensor(3, "t30", "°R"),
    Sensor(4, "t50", "°R"),
    Sensor(7, "p30", "psi"),
    Sensor(8, "nf", "1/min"),
    Sensor(9, "nc", "1/min"),
    Sensor(11, "ps30", "psi"),
    Sensor(12, "phi", "lb/s/psi"),
    Sensor(13, "nrf", "1/min"),
    Sensor(14, "nrc", "1/min"),
    Sensor(15, "bpr", "1"),
    Sensor(17, "htbleed", "1"),
    Sensor(20, "w31", "lb/s"),
    Sensor(21, "w32", "lb/s"),
)
"""The 14 sensors that change over an engine's life. The other seven are constant in FD001."""

VIEWS = (View(every=5, steps=6), View(every=15, steps=6), View(every=40, steps=6))


def scaling(rows: np.ndarray) -> Scaling:
    """Fit a fixed scaling to rows (n, 14) of engines run to failure."""
    mean, std = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64)
    mean, std = (tuple(round(float(v), 6) for v in values) for values in (mean, std))
    return Scaling(kind="fixed", mean=mean, std=std, spread=(std,) * len(VIEWS))


def manifest(scaled: Scaling, calibration: Calibration | None = None, provenance: dict[str, Any] | None = None) -> Manifest:
    """Build the manifest. Its digest is a placeholder; `edgeml.model.bundle.save` sets it."""
    return Manifest(
        format=FORMAT,
        name=NAME,
        version=VERSION,
        channels=tuple(Channel(name=s.name, unit=s.unit) for s in SENSORS),
        # An engine may rest for weeks between flights without wear.
        interval_s=CYCLE_S,
        longest_gap_s=90 * 86400.0,
        views=VIEWS,
        min_rows=VIEWS[0].rows,
        clip=4.0,
        scaling=scaled,
        stopped=None,
        score=f"The remaining useful life in cycles, 0 to {CAP:g}; {CAP:g} stands for that and anything longer. The confidence is the "
        f"probability that fewer than {HORIZON:g} cycles remain.",
        verdict_level=0.5,
        prior=PRIOR,
        calibration=calibration or Calibration(),
        provenance=provenance or {},
        digests={MODEL: Digest(sha256="", bytes=0)},
        horizon=HORIZON,
    )
