"""Manifest of the failure-type model, without calibration, provenance and digests."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgeml.model.bundle import MODEL
from edgeml.model.manifest import FORMAT, Calibration, Channel, Digest, Manifest, Scaling, View
from model_training.datasets import Ai4i

NAME, VERSION = "mill_failure", "1.0.0"
PRIOR = 0.034
"""Share of workpieces with a failure, from the data set's description."""
VERDICT_LEVEL = 0.4
"""F1 is highest at a level of half the achievable F1, which is slightly above 0.8."""
ROW_S = 180.0
"""A row is a workpiece, which wears the tool by two to five minutes. The data have no times."""
CLASSES = ("no failure", "heat dissipation", "power", "overstrain", "tool wear", "other")
OF_KIND = {"no failure": 0, "HDF": 1, "PWF": 2, "OSF": 3, "TWF": 4, "RNF": 5, "unexplained": 5}
"""The model's class by the data set's kind of failure. Random and unexplained failures share a class."""
QUALITY = {"L": 0.0, "M": 1.0, "H": 2.0}
"""Value of the channel `quality` by the data set's product quality."""


class Measured(NamedTuple):
    """A channel with its unit and value range, which int8 divides into 255 steps."""

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
    """Channels of the model, (n, 6) float32."""
    quality = np.array([QUALITY[each] for each in data.quality], np.float32)
    return np.concatenate([quality[:, None], data.features], 1)


def classes(data: Ai4i, names: tuple[str, ...]) -> np.ndarray:
    """Class of every row, (n,) int; `names` are the data set's kinds."""
    return np.array([OF_KIND[name] for name in names])[data.kind]


def scaled(rows: np.ndarray) -> np.ndarray:
    """Scale and clip rows (n, 6) to -1 to 1, as the scorer does."""
    template = manifest()
    return np.clip((rows - np.array(template.scaling.mean)) / np.array(template.scaling.std), -template.clip, template.clip)


def manifest(calibration: Calibration | None = None, provenance: dict[str, Any] | None = None) -> Manifest:
    """Build the manifest. Its digest is a placeholder; `edgeml.model.bundle.save` sets it."""
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
