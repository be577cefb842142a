"""Synthetic recordings, and detectors without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from model_training.evaluation.bundle_scoring import Detector, DetectorResult, apply_policy
from model_training.evaluation.recordings import Recording

from sensor_ingestion.sources.csv_layouts import LAYOUTS
from sensor_ingestion.sources.pump_physics import CHANNELS

HEADINGS = ("datetime", *LAYOUTS["skab"].columns.values())
START = np.datetime64("2026-01-01T00:00:00", "s")
NORMAL = (0.03, 0.04, 1.0, 0.1, 70.0, 25.0, 230.0, 32.0)


def write(path: Path, rows: int, onset: int = 0, end: int = 0, step: int = 1, labels: bool = True, seed: int = 0) -> Path:
    """Write a recording; rows `onset` to `end` - 1 are anomalous, with half of the flow."""
    rng = np.random.default_rng(seed)
    lines = [";".join((*HEADINGS, "anomaly", "changepoint") if labels else HEADINGS)]
    for row in range(rows):
        values = np.array(NORMAL) * (1 + 0.02 * rng.standard_normal(8))
        values[-1] *= 0.5 if onset <= row < end else 1.0
        cells = [str(START + row * step).replace("T", " "), *(f"{value:.6g}" for value in values)]
        if labels:
            cells += [f"{float(onset <= row < end)}", f"{float(end > 0 and row in (onset, end))}"]
        lines.append(";".join(cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def make_recording(rows: int = 1150, onset: int = 570, end: int = 970, name: str = "1") -> Recording:
    """Create a recording in memory."""
    row = np.arange(rows)
    anomaly = (row >= onset) & (row < end)
    return Recording(
        "made",
        name,
        CHANNELS,
        row,
        tuple(str(START + i) for i in range(rows)),
        1_767_225_600 * 10**9 + row * 10**9,
        (np.array(NORMAL) * (1 + 0.02 * np.random.default_rng(rows).standard_normal((rows, 8)))).astype(np.float32),
        anomaly,
        np.isin(row, [onset, end]) if anomaly.any() else np.zeros(rows, bool),
    )


def fixed_detector(confidences: dict[str, np.ndarray] | None = None) -> Detector:
    """A detector that returns the labels, or fixed confidences by recording."""

    def detector(recording: Recording) -> DetectorResult:
        assert recording.anomaly is not None
        result = recording.anomaly.astype(np.float32) if confidences is None else confidences[recording.full_name].astype(np.float32)
        result[:400] = np.nan
        return apply_policy(recording, result, 0.5)

    return detector
