"""Rows for training and evaluation: recordings of a water-circulation rig, and the simulated pump.

Only the rows before `BASELINE_ROWS` of a recording may train. Labels serve the evaluation only.
"""

from __future__ import annotations

import csv
import hashlib
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_training import component_path as _paths  # noqa: F401  the components become importable
from model_training.training_request import TrainingError
from sensor_ingestion.sources.pump_physics import Fault, PumpSkid

BASELINE_ROWS = 400
NORMAL_RECORDING = "anomaly-free/anomaly-free.csv"
NORMAL_TRAINING_ROWS = 2350

COLUMNS = (
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
)
"""The columns of a recording, in the order of the model's channels."""
TIME, MARK = "datetime", "anomaly"
LAYOUT = f"a recording has the columns {TIME};{';'.join(COLUMNS)}, with ;{MARK} where it is labelled, and times such as 2024-03-01 10:00:00"


class Recording(NamedTuple):
    """One recording.

    Attributes:
        name: such as `valve1/0.csv`.
        times: (n,) int64, ns; a time without a time zone is UTC.
        values: (n, 8) float32.
        anomaly: (n,) bool, labelled as anomalous; None if the recording has no labels.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    anomaly: np.ndarray | None


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


def load_recordings(folder: Path) -> list[Recording]:
    """Load all recordings below `folder` or its subfolder `skab`, in the order of their names.

    Raises:
        TrainingError: no recording found, or one has another layout.
    """
    root = folder / "skab" if (folder / "skab").is_dir() else folder
    paths = sorted(root.glob("*/*.csv"))
    if not paths:
        raise TrainingError(f"{folder}: no recordings (*/*.csv); name the folder that holds skab/ with --from")
    return [load_recording(path, path.relative_to(root).as_posix()) for path in paths]


def load_recording(path: Path, name: str) -> Recording:
    """Load one `;`-separated recording.

    Raises:
        TrainingError: the file is unreadable, or has another layout.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=";")
            missing = [column for column in (TIME, *COLUMNS) if column not in (reader.fieldnames or ())]
            if missing:
                raise TrainingError(f"{path} has no column {', '.join(missing)}; {LAYOUT}")
            marked = MARK in (reader.fieldnames or ())
            rows = [_row(path, reader.line_num, row, marked) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise TrainingError(f"{path}: cannot be read ({' '.join(str(fault).split())}); remove the file or copy it again") from None
    if not rows:
        raise TrainingError(f"{path} has no rows; remove the file or copy it again")
    times, values, marks = zip(*rows, strict=True)
    return Recording(name, np.array(times, np.int64) * 10**9, np.array(values, np.float32), np.array(marks) if marked else None)


def _row(path: Path, line: int, row: dict[str, str], marked: bool) -> tuple[float, list[float], bool]:
    try:
        time = datetime.fromisoformat(row[TIME]).replace(tzinfo=timezone.utc).timestamp()
        return time, [float(row[column]) for column in COLUMNS], marked and float(row[MARK]) > 0
    except (ValueError, TypeError) as fault:  # a short line gives None
        raise TrainingError(f"{path}:{line}: invalid cell ({fault}); {LAYOUT}") from None


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each recording's file, by name."""
    root = folder / "skab" if (folder / "skab").is_dir() else folder
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.glob("*/*.csv"))}


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
