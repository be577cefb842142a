"""AI4I 2020: a milling machine, one row a workpiece."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_training.datasets.provenance import PARTIAL, DatasetError, Provenance, examine

FEATURES = ("Air temperature [K]", "Process temperature [K]", "Rotational speed [rpm]", "Torque [Nm]", "Tool wear [min]")
FAILURE = "Machine failure"
KINDS = ("HDF", "PWF", "OSF", "TWF", "RNF")
"""Heat dissipation, power, overstrain, tool wear, random failure. A row with several kinds counts as the first of them."""
CLASSES = ("no failure", *KINDS, "unexplained")
STRAIN_LIMITS = {"L": 11_000.0, "M": 12_000.0, "H": 13_000.0}


class Ai4i(NamedTuple):
    """The data set.

    Attributes:
        features: (n, 5) float32, in the order of `FEATURES`.
        quality: (n,) text, the product quality: `L`, `M` or `H`.
        failure: (n,) bool.
        kind: (n,) uint8, index into `CLASSES`; 0 if and only if there is no failure.
        derived: the kinds were derived by the data set's published rules, because the file has no columns for them.
    """

    features: np.ndarray
    quality: np.ndarray
    failure: np.ndarray
    kind: np.ndarray
    derived: bool
    provenance: Provenance

    @property
    def partial(self) -> bool:
        return self.provenance.partial

    @property
    def digests(self) -> dict[str, str]:
        return self.provenance.digests

    @property
    def notes(self) -> tuple[str, ...]:
        how = "the kinds of failure are derived by the published rules, because the file has no columns for them"
        counts = ", ".join(f"{name} {int((self.kind == at).sum())}" for at, name in enumerate(CLASSES))
        return *self.provenance.notes, *((how,) if self.derived else ()), counts


def load_ai4i(folder: Path) -> Ai4i:
    """Load `ai4i2020.csv` from `folder` or its subfolder `ai4i`.

    Raises:
        DatasetError: the file is missing or unreadable.
    """
    name = "ai4i2020.csv"
    provenance, contents = examine("ai4i", folder, name)
    content = contents[name]
    if provenance.files[0].state == PARTIAL:
        content = content[: content.rfind(b"\n") + 1]
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as fault:
        raise DatasetError(f"{name} is not a CSV file ({fault}); download it again: edgeml data fetch ai4i") from None
    if not rows:
        raise DatasetError(f"{name} has no rows; download it again: edgeml data fetch ai4i")
    absent = [column for column in ("Type", *FEATURES, FAILURE) if column not in rows[0]]
    if absent:
        raise DatasetError(f"{name} has no column {', '.join(absent)}; download it again: edgeml data fetch ai4i")
    flagged = all(kind in rows[0] for kind in KINDS)
    features, failure = np.empty((len(rows), len(FEATURES))), np.empty(len(rows), bool)
    flags = np.zeros((len(rows), len(KINDS)), bool)
    for at, row in enumerate(rows):
        try:
            features[at] = [float(row[column]) for column in FEATURES]
            failure[at] = int(row[FAILURE]) == 1
            if flagged:
                flags[at] = [int(row[kind]) == 1 for kind in KINDS]
            if row["Type"] not in STRAIN_LIMITS:
                raise ValueError(f"the type {row['Type']!r} is not one of L, M, H")
        except (ValueError, TypeError) as fault:
            raise DatasetError(f"{name}, line {at + 2}: {fault}; download the file again") from None
    quality = np.array([row["Type"] for row in rows])
    if not flagged:
        flags = by_rules(features, quality)
    kind = np.where(flags.any(axis=1), flags.argmax(axis=1) + 1, len(CLASSES) - 1)
    return Ai4i(features.astype(np.float32), quality, failure, np.where(failure, kind, 0).astype(np.uint8), not flagged, provenance)


def by_rules(features: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Causes of failure by the data set's description (Matzka 2020): (n, 5) bool, in the order of `KINDS`.

    A cause is meaningful only if the machine failed. A tool fails at a random time between 200 and 240 minutes of wear, and the rounded
    columns are ambiguous at the limit of heat dissipation. Random failures show in no column.
    """
    air, process, speed, torque, wear = features.T
    power = torque * speed * 2 * np.pi / 60
    # The limits were applied before the columns were rounded to 0.1 K, and before the workpiece added its 2 to 5 minutes of wear.
    heat = (np.round(process - air, 1) <= 8.6) & (speed < 1380)
    strain = wear * torque > np.array([STRAIN_LIMITS[each] for each in quality])
    return np.stack([heat, (power < 3500) | (power > 9000), strain, wear >= 198, np.zeros(len(features), bool)], axis=1)
