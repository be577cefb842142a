"""What the model of failure types wants and answers: its manifest, but for calibration, provenance and digests."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgeml.model.bundle import MODEL
from edgeml.model.manifest import FORMAT, Calibration, Channel, Digest, Manifest, Scaling, View
from model_training.datasets import Ai4i

NAME, VERSION = "mill_failure", "1.0.0"
PRIOR = 0.034
"""The share of workpieces on which the machine fails, as the data set's description states it."""
VERDICT_LEVEL = 0.4
"""The confidence from which F1 is highest lies at half the F1 that can be had, which is a little over 0.8."""
ROW_S = 180.0
"""A row is a workpiece, and the data have no clock: it wears the tool by two to five minutes."""
CLASSES = ("no failure", "heat dissipation", "power", "overstrain", "tool wear", "other")
OF_KIND = {"no failure": 0, "HDF": 1, "PWF": 2, "OSF": 3, "TWF": 4, "RNF": 5, "unexplained": 5}
"""The model's class by the data set's kind of failure; random failures and unexplained ones are the same to a model."""
QUALITY = {"L": 0.0, "M": 1.0, "H": 2.0}
"""The channel `quality` by the data set's quality of the product."""


class Measured(NamedTuple):
    """A channel: its name and unit, and the span of its values, which int8 divides into 255 steps."""

    name: str
    unit: str
    low: float
    high: float


CHANNELS = (
    Measured("quality", "1", 0.0, 2.0),
    Measured("air_temperature", "K", 295.0, 305.0),
    Measured("process_temperature", "K", 305.0, 314.5),
    Measured("speed", "1/min", 1150.0, 2900.0),
    Measured("torque", "Nm", 0.0, 80.0),
    Measured("tool_wear", "min", 0.0, 260.0),
)


def rows(data: Ai4i) -> np.ndarray:
    """The model's channels of every row: (n, 6) float32."""
    quality = np.array([QUALITY[each] for each in data.quality], np.float32)
    return np.concatenate([quality[:, None], data.features], 1)


def classes(data: Ai4i, names: tuple[str, ...]) -> np.ndarray:
    """The class of every row, (n,) int; `names` are the data set's kinds."""
    return np.array([OF_KIND[name] for name in names])[data.kind]


def scaled(rows: np.ndarray) -> np.ndarray:
    """Rows (n, 6) in the channels' units as the scorer scales and cuts them, -1 to 1."""
    wants = manifest()
    return np.clip((rows - np.array(wants.scaling.mean)) / np.array(wants.scaling.std), -wants.clip, wants.clip)


def manifest(calibration: Calibration | None = None, provenance: dict[str, Any] | None = None) -> Manifest:
    """The manifest; the digest in it is a placeholder until `edgeml.model.bundle.save` fills it in."""
    middle = tuple((channel.low + channel.high) / 2 for channel in CHANNELS)
    half = tuple((channel.high - channel.low) / 2 for channel in CHANNELS)
    return Manifest(
        format=FORMAT,
        name=NAME,
        version=VERSION,
        channels=tuple(Channel(name=c.name, unit=c.unit) for c in CHANNELS),
        interval_s=ROW_S,
        longest_gap_s=90 * 86400.0,
        views=(View(every=1, steps=1),),
        min_rows=1,
        clip=1.0,
        scaling=Scaling(kind="fixed", mean=middle, std=half, spread=(half,)),
        stopped=None,
        score="1 minus the model's probability of no failure, 0 to 1. The confidence is the probability of a failure of any type; the type "
        f"is the most probable of {', '.join(CLASSES[1:])}.",
        verdict_level=VERDICT_LEVEL,
        prior=PRIOR,
        calibration=calibration or Calibration(),
        provenance=provenance or {},
        digests={MODEL: Digest(sha256="", bytes=0)},
        classes=CLASSES,
    )
