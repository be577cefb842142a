"""Compare two predictions files row by row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeml.model import self_test


@dataclass(frozen=True)
class Bounds:
    """Maximum difference of two runtimes: of the confidence, and share of rows with different verdicts."""

    confidence: float
    verdicts: float


SAME_ARCHITECTURE = Bounds(0.03, 0.001)
"""Bounds on one architecture."""
CROSS_ARCHITECTURE = Bounds(self_test.WITHIN, 0.005)
"""Bounds between architectures."""


@dataclass(frozen=True)
class Parity:
    """Differences between two runtimes.

    Attributes:
        rows: number of compared rows.
        decided: rows with a decision on both runtimes.
        undecided_differing: rows with a decision on one runtime only.
        largest, p99, mean: maximum, 99th percentile and mean difference of the confidence.
        confidences_differing, verdicts_differing, alarms_differing: number of rows that differ.
        level_crossings: number of rows with confidences on different sides of a level, by level.
    """

    rows: int
    decided: int
    undecided_differing: int
    largest: float
    p99: float
    mean: float
    confidences_differing: int
    verdicts_differing: int
    alarms_differing: int
    level_crossings: dict[float, int]
    bounds: Bounds = SAME_ARCHITECTURE

    @property
    def passed(self) -> bool:
        return (
            self.decided > 0
            and not self.undecided_differing
            and self.largest <= self.bounds.confidence
            and self.verdicts_differing <= self.bounds.verdicts * self.rows
        )

    def plain(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return {key: value for key, value in asdict(self).items() if key not in ("bounds", "level_crossings")} | {
            "level_crossings": {f"{level:g}": rows for level, rows in self.level_crossings.items()},
            "passed": self.passed,
        }

    def __str__(self) -> str:
        share = 100 * self.verdicts_differing / max(1, self.rows)
        sides = ", ".join(f"{rows} at {level:g}" for level, rows in self.level_crossings.items())
        return (
            f"{self.rows} rows, {self.decided} of them decided by both and {self.undecided_differing} by only one; "
            f"confidence differs by {self.largest:.4f} at most (in {self.confidences_differing} rows; limit {self.bounds.confidence:g}), "
            f"{self.p99:.4f} at the 99th percentile, {self.mean:.5f} on average; "
            f"verdicts in {self.verdicts_differing} rows, {share:.3f} % (limit {100 * self.bounds.verdicts:g} %), "
            f"alarms in {self.alarms_differing}{f'; on different sides of a level: {sides}' if sides else ''}: "
            f"{'passed' if self.passed else 'FAILED'}"
        )


def compare(one: Path, other: Path, bounds: Bounds = SAME_ARCHITECTURE, levels: Sequence[float] = ()) -> Parity:
    """Compare predictions of the same recordings.

    Raises:
        ValueError: the files have different rows.
    """
    (rows, first), (rows_other, second) = _read(one), _read(other)
    if rows != rows_other:
        raise ValueError(f"{one} and {other} have predictions of different rows; make both with the same recordings")
    decided = np.isfinite(first[:, 0]) & np.isfinite(second[:, 0])
    reference, other_confidence = first[decided, 0], second[decided, 0]
    difference = np.abs(reference - other_confidence)
    return Parity(
        rows=len(rows),
        decided=int(decided.sum()),
        undecided_differing=int((np.isfinite(first[:, 0]) != np.isfinite(second[:, 0])).sum()),
        largest=float(difference.max(initial=0.0)),
        p99=float(np.quantile(difference, 0.99)) if len(difference) else 0.0,
        mean=float(difference.mean()) if len(difference) else 0.0,
        confidences_differing=int((difference > 0).sum()),
        verdicts_differing=int((first[:, 1] != second[:, 1]).sum()),
        alarms_differing=int((first[:, 2] != second[:, 2]).sum()),
        level_crossings={level: int(((reference >= level) != (other_confidence >= level)).sum()) for level in levels},
        bounds=bounds,
    )


def _read(path: Path) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Row identifiers, and values (n, 3): confidence or NaN, verdict, alarm."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = [(line["file"], line["row"]) for line in lines]
    numbers = [(float(line["confidence"] or "nan"), float(line["verdict"]), float(line["alarm"])) for line in lines]
    return rows, np.array(numbers).reshape(-1, 3)
