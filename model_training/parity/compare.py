"""Two predictions files, row by row."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CONFIDENCE_BOUND = 0.03
VERDICT_BOUND = 0.001


@dataclass(frozen=True)
class Parity:
    """How far two runtimes are apart.

    Attributes:
        rows: compared.
        decided: rows that both decided.
        undecided_differing: rows that one of them decided and the other did not.
        largest: difference of confidence.
        confidences_differing, verdicts_differing, alarms_differing: rows.
    """

    rows: int
    decided: int
    undecided_differing: int
    largest: float
    confidences_differing: int
    verdicts_differing: int
    alarms_differing: int

    @property
    def passed(self) -> bool:
        return (
            self.decided > 0 and not self.undecided_differing and self.largest <= CONFIDENCE_BOUND
            and self.verdicts_differing <= VERDICT_BOUND * self.rows
        )

    def __str__(self) -> str:
        share = 100 * self.verdicts_differing / max(1, self.rows)
        return (
            f"{self.rows} rows, {self.decided} of them decided by both and {self.undecided_differing} by one alone; "
            f"confidence differs by {self.largest:.4f} at most (in {self.confidences_differing} rows; allowed {CONFIDENCE_BOUND:g}), "
            f"verdicts in {self.verdicts_differing} rows, {share:.3f} % (allowed {100 * VERDICT_BOUND:g} %), "
            f"alarms in {self.alarms_differing}: {'passed' if self.passed else 'FAILED'}"
        )


def compare(one: Path, other: Path) -> Parity:
    """Compare predictions of the same recordings.

    Raises:
        ValueError: they are of different rows.
    """
    (rows, first), (rows_other, second) = _read(one), _read(other)
    if rows != rows_other:
        raise ValueError(f"{one} and {other} are predictions of different rows; make both of the same recordings")
    decided = np.isfinite(first[:, 0]) & np.isfinite(second[:, 0])
    apart = np.abs(first[decided, 0] - second[decided, 0])
    return Parity(
        rows=len(rows), decided=int(decided.sum()), undecided_differing=int((np.isfinite(first[:, 0]) != np.isfinite(second[:, 0])).sum()),
        largest=float(apart.max(initial=0.0)), confidences_differing=int((apart > 0).sum()),
        verdicts_differing=int((first[:, 1] != second[:, 1]).sum()), alarms_differing=int((first[:, 2] != second[:, 2]).sum()),
    )


def _read(path: Path) -> tuple[list[tuple[str, str, str]], np.ndarray]:
    """Which rows, and (n, 3): confidence or NaN, verdict, alarm."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    rows = [(line["group"], line["recording"], line["row"]) for line in lines]
    numbers = [(float(line["confidence"] or "nan"), float(line["verdict"]), float(line["alarm"])) for line in lines]
    return rows, np.array(numbers).reshape(-1, 3)
