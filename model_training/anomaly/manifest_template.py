"""Manifest of the anomaly model, without provenance and digests."""

from __future__ import annotations

from typing import Any

from edgeml.model.bundle import MODEL
from edgeml.model.manifest import FORMAT, Calibration, Channel, Digest, Manifest, Scaling, Stopped, View

NAME, VERSION = "pump_anomaly", "1.2.1"

POLICY: dict[str, int | float] = {"raise_at": 0.93, "hold_s": 0}
"""Options of the alarm policy, selected by `model_training.evaluation.policy_selection`."""

CHANNELS = (
    Channel(name="vibration_1", unit="g", floor=0.0001),
    Channel(name="vibration_2", unit="g", floor=0.0001),
    Channel(name="current", unit="A", floor=0.02),
    Channel(name="pressure", unit="bar", floor=0.02),
    Channel(name="motor_temperature", unit="°C", floor=0.05),
    Channel(name="fluid_temperature", unit="°C", floor=0.01),
    Channel(name="voltage", unit="V", floor=0.3),
    Channel(name="flow", unit="l/min", floor=0.05),
)


def manifest(provenance: dict[str, Any] | None = None) -> Manifest:
    """Build the manifest. Its digest is a placeholder; `edgeml.model.bundle.save` sets it."""
    return Manifest(
        format=FORMAT,
        name=NAME,
        version=VERSION,
        channels=CHANNELS,
        interval_s=1.0,
        longest_gap_s=5.0,
        views=(View(every=1, steps=60), View(every=10, steps=60)),
        min_rows=60,
        clip=8.0,
        scaling=Scaling(kind="baseline", rows=400),
        rows_after_gap=10,
        smooth_rows=3,
        # In all training rows the motor of a running pump draws at least 0.35 A, that of a stopped one close to 0 A.
        stopped=Stopped(channel="current", below=0.2, for_rows=2, settle_s=20.0),
        score="How far the model believes that the machine runs otherwise than in its baseline, 0 to 1: the output of a "
        "sigmoid trained on normal rows and on synthetic and simulated faults, half of each.",
        # Above 0.5: for an operator, a correct verdict is worth more than one that comes a second earlier.
        verdict_level=0.7,
        prior=0.5,
        calibration=Calibration(kind="identity"),
        policy=POLICY,
        provenance=provenance or {},
        digests={MODEL: Digest(sha256="", bytes=0)},
    )
