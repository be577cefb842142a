"""Two-fold cross-validation: one half of the recordings selects a candidate, which is measured on the other half, and vice versa.

A candidate is a design at a verdict level, with one bundle for each seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model_training import calibration
from model_training.evaluation.bundle_scoring import shortest_decimal
from model_training.evaluation.figures import Figures, Segment, decided, figures
from model_training.evaluation.splits import halves


@dataclass(frozen=True)
class BundleRun:
    """One evaluated bundle.

    Attributes:
        design: bundles of one design differ only in their seed.
        normal: pieces of normal running.
    """

    design: str
    seed: int
    level: float
    prior: float
    segments: Sequence[Segment]
    normal: Sequence[Segment]


@dataclass(frozen=True)
class CrossValidation:
    """Cross-validated figures.

    Attributes:
        halves: names of the recordings in each half.
        candidates: number of candidates.
        chosen: design and verdict level that each half selected for the other.
        seeds: pooled figures of both held-out halves, for each seed.
        calibration_error: for each seed, the mean error of tables fitted on one half and measured on the other.
    """

    halves: tuple[list[str], list[str]]
    candidates: int
    chosen: tuple[tuple[str, float], tuple[str, float]]
    seeds: list[Figures]
    calibration_error: list[float]

    def plain(self) -> dict[str, Any]:
        seeds = [seed.plain() for seed in self.seeds]
        numbers = [key for key, value in seeds[0].items() if isinstance(value, (int, float))]
        return {
            "halves": self.halves,
            "candidates": self.candidates,
            "chosen": self.chosen,
            "seeds": seeds,
            "mean": {key: _mean([seed[key] for seed in seeds]) for key in numbers},
            "spread": {key: _spread([seed[key] for seed in seeds]) for key in numbers},
            "refitted_calibration_error": {
                "seeds": self.calibration_error,
                "mean": _mean(self.calibration_error),
                "spread": _spread(self.calibration_error),
            },
        }


def cross_validate(runs: Sequence[BundleRun], levels: Sequence[float] = ()) -> CrossValidation:
    """Cross-validate candidates; selection is by mean F1 over the seeds.

    Args:
        runs: at least one run, with labelled recordings.
        levels: verdict levels to select from; none: each bundle's own level.
    """
    names = [segment.recording.full_name for segment in runs[0].segments if segment.recording.anomaly is not None]
    sides = halves(names)
    candidates: dict[tuple[str, float], list[BundleRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        for level in levels or (run.level,):
            candidates.setdefault((run.design, level), []).append(at_level(run, level))
    chosen = tuple(max(candidates, key=lambda key: _mean([_f1(run, side) for run in candidates[key]])) for side in sides)
    pairs = list(zip(candidates[chosen[1]], candidates[chosen[0]], strict=False))
    seeds, errors = [], []
    for on_first, on_second in pairs:
        first, second = _select(on_first.segments, sides[0]), _select(on_second.segments, sides[1])
        # Normal running belongs to neither half: its pieces alternate between the halves, so that each counts once.
        normal = [(on_first, on_second)[number % 2].normal[number] for number in range(len(on_first.normal))]
        seeds.append(figures([*first, *second], normal, on_first.prior))
        errors.append(_refitted_error(first, second, on_first.prior))
    return CrossValidation(sides, len(candidates), (chosen[0], chosen[1]), seeds, errors)


def at_level(run: BundleRun, level: float) -> BundleRun:
    """Recompute the verdicts at another level."""
    if level == run.level:
        return run
    return replace(run, level=level, segments=_with_level(run.segments, level), normal=_with_level(run.normal, level))


def _with_level(segments: Sequence[Segment], level: float) -> list[Segment]:
    return [
        replace(segment, result=replace(segment.result, verdict=shortest_decimal(segment.result.confidence) >= level))
        for segment in segments
    ]


def _select(segments: Sequence[Segment], names: Sequence[str]) -> list[Segment]:
    return [segment for segment in segments if segment.recording.full_name in names]


def _f1(run: BundleRun, names: Sequence[str]) -> float:
    f1 = figures(_select(run.segments, names), [], run.prior).f1
    return -1.0 if math.isnan(f1) else f1


def _refitted_error(first: Sequence[Segment], second: Sequence[Segment], prior: float) -> float:
    errors = []
    for fitted, measured in ((first, second), (second, first)):
        try:
            fit = calibration.fit(*decided(fitted, scores=True), prior)
            scores, truth = decided(measured, scores=True)
            errors.append(calibration.expected_error(calibration.apply(fit, scores), truth, prior))
        except ValueError:
            return math.nan
    return _mean(errors)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _spread(values: Sequence[float]) -> float:
    """Standard deviation over the seeds; 0 for a single one."""
    if len(values) < 2:
        return 0.0
    return float(np.std(values, ddof=1)) if np.isfinite(values).all() else math.nan
