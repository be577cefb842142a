"""Robustness audits: figures on modified copies of the recordings.

A detector that uses the sensors scores as well on the copies; a detector that depends on elapsed time does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from model_training.evaluation.bundle_scoring import Detector
from model_training.evaluation.figures import Segment, figures, run_detector
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import BASELINE_ROWS, PIECE_ROWS

SEED = 20
F1_BOUND = 0.03
"""Maximum change of F1 in a passed audit."""
NORMAL_BOUND = 0.20
"""Maximum false-alarm rate in a passed audit without anomalies."""
SHORTEST, LONGEST = 30, 150
FACTOR = 2.0


@dataclass(frozen=True)
class AuditResult:
    """Result of an audit.

    Attributes:
        change: difference of F1 to the original recordings; NaN for an audit without anomalies.
        false_alarm_rate: rate on the modified copies.
        passed: True within the bound.
    """

    name: str
    f1: float
    change: float
    false_alarm_rate: float
    missed_alarm_rate: float
    passed: bool


class Audit(NamedTuple):
    """A modification of recordings, and whether the copies still contain anomalies."""

    change: Callable[[Recording, np.random.Generator], Recording | None]
    anomalous: bool
    description: str


def shifted(recording: Recording, rng: np.random.Generator) -> Recording | None:
    """Delete random normal test rows before the onset and close the gaps, so that the onset comes earlier."""
    keep = _thinned(recording, rng)
    if keep is None:
        return None
    steps = np.diff(recording.times, prepend=recording.times[:1])
    part = recording.part(keep)
    return replace(part, times=recording.times[0] + np.cumsum(steps[keep]))


def shifted_in_place(recording: Recording, rng: np.random.Generator) -> Recording | None:
    """Delete up to a third of the normal test rows before the onset without closing the gaps. The onset keeps its time."""
    keep = _thinned(recording, rng, 3)
    return None if keep is None else recording.part(keep)


def with_gap(recording: Recording, rng: np.random.Generator) -> Recording | None:
    """Delete consecutive normal test rows before the onset without closing the gap."""
    before = _before_onset(recording)
    if before is None:
        return None
    n = int(rng.integers(SHORTEST, min(LONGEST, len(before)) + 1))
    start = int(rng.integers(0, len(before) - n + 1))
    keep = np.ones(len(recording), bool)
    keep[before[start : start + n]] = False
    return recording.part(np.flatnonzero(keep))


def rescaled(recording: Recording, rng: np.random.Generator) -> Recording | None:
    """Multiply each channel by a random factor of 0.5 to 2. The quality flags are kept, because ranges scale with the unit."""
    factors = np.exp(rng.uniform(-np.log(FACTOR), np.log(FACTOR), recording.values.shape[1])).astype(np.float32)
    return replace(recording, values=recording.values * factors, flags=recording.quality())


def without_anomaly(recording: Recording, rng: np.random.Generator) -> Recording | None:
    """Baseline and the normal rows up to the onset, repeated forwards and backwards to the length of a recording."""
    before = _before_onset(recording)
    if before is None:
        return None
    there_and_back = np.concatenate([before, before[::-1]])
    test = np.tile(there_and_back, PIECE_ROWS // len(there_and_back) + 1)[: PIECE_ROWS - BASELINE_ROWS]
    rows = np.concatenate([np.arange(BASELINE_ROWS), test])
    part = recording.part(rows)
    step = int(np.median(np.diff(recording.times)))
    return replace(part, times=recording.times[0] + step * np.arange(len(rows)))


AUDITS: dict[str, Audit] = {
    "shifted": Audit(shifted, True, "random normal rows before the onset deleted, gaps closed"),
    "shifted, time kept": Audit(shifted_in_place, True, "up to a third of the normal rows before the onset deleted, times kept"),
    "gap": Audit(with_gap, True, "consecutive normal rows before the onset deleted, times kept"),
    "rescaled": Audit(rescaled, True, "each channel multiplied by a factor of 0.5 to 2"),
    "without an anomaly": Audit(without_anomaly, False, "normal rows only, repeated to the length of a recording"),
}
"""Audits by name. A new audit is a function and an entry."""


def run(detector: Detector, segments: Sequence[Segment], prior: float, names: Sequence[str] = ()) -> list[AuditResult]:
    """Run audits.

    Args:
        segments: evaluated original recordings; those without labels are ignored.
        names: audits to run; none: all.
    """
    labelled = {segment.recording.full_name: segment for segment in segments if segment.recording.anomaly is not None}
    results = []
    for name in names or AUDITS:
        copies = modified_copies(name, [segment.recording for segment in labelled.values()])
        if not copies:
            continue
        modified = figures(run_detector(detector, copies), [], prior)
        original = figures([labelled[copy.full_name] for copy in copies], [], prior)
        anomalous = AUDITS[name].anomalous
        f1, change = (modified.f1, modified.f1 - original.f1) if anomalous else (math.nan, math.nan)
        passed = abs(change) <= F1_BOUND if anomalous else modified.false_alarm_rate <= NORMAL_BOUND
        results.append(AuditResult(name, f1, change, modified.false_alarm_rate, modified.missed_alarm_rate, passed))
    return results


def modified_copies(name: str, recordings: Sequence[Recording], seed: int = SEED) -> list[Recording]:
    """Modify copies of the labelled recordings that fit the audit. The same seed gives the same copies."""
    out = []
    for recording in recordings:
        if recording.anomaly is None:
            continue
        rng = np.random.default_rng([seed, *recording.full_name.encode(), *name.encode()])
        copy = AUDITS[name].change(recording, rng)
        if copy is not None:
            out.append(copy)
    return out


def _before_onset(recording: Recording) -> np.ndarray | None:
    """Normal test rows before the first anomalous row, or None if there are too few."""
    assert recording.anomaly is not None
    marked = np.flatnonzero(recording.anomaly)
    onset = int(marked[0]) if len(marked) else len(recording)
    return np.arange(BASELINE_ROWS, onset) if onset >= BASELINE_ROWS + SHORTEST else None


def _thinned(recording: Recording, rng: np.random.Generator, share: int = 1) -> np.ndarray | None:
    before = _before_onset(recording)
    if before is None:
        return None
    n = int(rng.integers(SHORTEST, min(LONGEST, len(before)) + 1)) // share
    gone = rng.choice(before, n, replace=False)
    return np.setdiff1d(np.arange(len(recording)), gone)
