"""Rows for training and evaluation: recordings of a water-circulation rig, and the simulated pump.

Only the rows before `BASELINE_ROWS` of a recording may train. Labels serve the evaluation only.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_training import component_path as _paths  # noqa: F401  the components become importable
from model_training.datasets import DatasetError, Recording, Skab, load_skab
from model_training.evaluation.splits import BASELINE_ROWS, NORMAL_TRAINING_ROWS
from model_training.training_request import TrainingError
from sensor_ingestion.sources.pump_physics import Fault, PumpSkid

NORMAL_RECORDING = "anomaly-free/anomaly-free.csv"


class SimulatedRun(NamedTuple):
    """Rows of a simulated pump.

    Attributes:
        times: (n,) int64, ns.
        values: (n, 8) float32.
        level: (n,) float32, progress of a machine fault, 0 to 1; 0 for a sensor fault.
    """

    times: np.ndarray
    values: np.ndarray
    level: np.ndarray


def load_recordings(folder: Path) -> Skab:
    """Load all recordings below `folder` or its subfolder `skab`. Altered recordings are accepted: a machine's own may have the same names.

    Raises:
        TrainingError: no recording found, or one is unreadable or has another layout.
    """
    try:
        return load_skab(folder, altered="warn")
    except DatasetError as fault:
        raise TrainingError(str(fault)) from None


def training_rows(recording: Recording) -> np.ndarray:
    """Rows (n, 8) of a recording that may train."""
    return recording.values[: NORMAL_TRAINING_ROWS if recording.name == NORMAL_RECORDING else BASELINE_ROWS]


class MaintenanceStop(NamedTuple):
    """An operator stops the pump at row `at` for `rows` rows and, if `repair`, removes its faults."""

    at: int
    rows: int
    repair: bool = True


def simulate(seed: int, rows: int, faults: tuple[Fault, ...] = (), stops: tuple[MaintenanceStop, ...] = ()) -> SimulatedRun:
    """Simulate a pump at one row a second."""
    skid = PumpSkid(seed, faults=faults)
    parts = []
    machine = any(not fault.kind.startswith("sensor") for fault in skid.faults)
    cuts = sorted({0, rows, *(v.at for v in stops), *(v.at + v.rows for v in stops)})
    begins, ends = {v.at: v for v in stops}, {v.at + v.rows: v for v in stops}
    for begin, end in zip(cuts, cuts[1:], strict=False):
        if begin in begins:
            skid.stop()
        if begin in ends:
            if ends[begin].repair:
                skid.restore()
            skid.start()
        parts.append(skid.step(end - begin))
    number = np.concatenate([part.number for part in parts])
    level = np.concatenate([part.level for part in parts])
    return SimulatedRun(number * 10**9, np.concatenate([part.values for part in parts]), level if machine else np.zeros_like(level))
