"""Crosswise choice: one half of the recordings chooses among candidates, the other half is reported, and the reverse.

A candidate is a design, in as many seeds as there are bundles of it, at a verdict level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model_training import calibration
from model_training.evaluation.bundle_scoring import as_written
from model_training.evaluation.figures import Figures, Stretch, decided, figures
from model_training.evaluation.splits import halves


@dataclass(frozen=True)
class Run:
    """One bundle, judged.

    Attributes:
        design: bundles of one design differ in their seed alone.
        normal: pieces of normal running.
    """

    design: str
    seed: int
    level: float
    prior: float
    stretches: Sequence[Stretch]
    normal: Sequence[Stretch]


@dataclass(frozen=True)
class Crosswise:
    """The headline.

    Attributes:
        halves: names of the recordings.
        chosen: what each half chose for the other: the design and the verdict level.
        seeds: figures of the halves that did not choose, together; one for each seed.
        calibration_error: with a table fitted on one half and measured on the other, both ways round; one for each seed.
    """

    halves: tuple[list[str], list[str]]
    candidates: int
    chosen: tuple[tuple[str, float], tuple[str, float]]
    seeds: list[Figures]
    calibration_error: list[float]

    def plain(self) -> dict[str, Any]:
        each = [seed.plain() for seed in self.seeds]
        numbers = [key for key, value in each[0].items() if isinstance(value, (int, float))]
        return {
            "halves": self.halves,
            "candidates": self.candidates,
            "chosen": self.chosen,
            "seeds": each,
            "mean": {key: _mean([seed[key] for seed in each]) for key in numbers},
            "spread": {key: _spread([seed[key] for seed in each]) for key in numbers},
            "refitted_calibration_error": {
                "seeds": self.calibration_error,
                "mean": _mean(self.calibration_error),
                "spread": _spread(self.calibration_error),
            },
        }


def choose(runs: Sequence[Run], levels: Sequence[float] = ()) -> Crosswise:
    """Choose by mean F1 over the seeds.

    Args:
        runs: at least one; labels among their recordings.
        levels: verdict levels to choose among; none: each bundle's own.
    """
    names = [stretch.recording.full_name for stretch in runs[0].stretches if stretch.recording.anomaly is not None]
    sides = halves(names)
    candidates: dict[tuple[str, float], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        for level in levels or (run.level,):
            candidates.setdefault((run.design, level), []).append(at_level(run, level))
    chosen = tuple(max(candidates, key=lambda key: _mean([_f1(run, side) for run in candidates[key]])) for side in sides)
    pairs = list(zip(candidates[chosen[1]], candidates[chosen[0]], strict=False))
    seeds, errors = [], []
    for on_first, on_second in pairs:
        first, second = _only(on_first.stretches, sides[0]), _only(on_second.stretches, sides[1])
        # Normal running belongs to neither half: its pieces take turns, so that each counts once.
        normal = [(on_first, on_second)[number % 2].normal[number] for number in range(len(on_first.normal))]
        seeds.append(figures([*first, *second], normal, on_first.prior))
        errors.append(_refitted_error(first, second, on_first.prior))
    return Crosswise(sides, len(candidates), (chosen[0], chosen[1]), seeds, errors)


def at_level(run: Run, level: float) -> Run:
    """The same confidences with verdicts at another level."""
    if level == run.level:
        return run
    return replace(run, level=level, stretches=_again(run.stretches, level), normal=_again(run.normal, level))


def _again(stretches: Sequence[Stretch], level: float) -> list[Stretch]:
    return [
        replace(stretch, judged=replace(stretch.judged, verdict=as_written(stretch.judged.confidence) >= level)) for stretch in stretches
    ]


def _only(stretches: Sequence[Stretch], names: Sequence[str]) -> list[Stretch]:
    return [stretch for stretch in stretches if stretch.recording.full_name in names]


def _f1(run: Run, names: Sequence[str]) -> float:
    f1 = figures(_only(run.stretches, names), [], run.prior).f1
    return -1.0 if math.isnan(f1) else f1


def _refitted_error(first: Sequence[Stretch], second: Sequence[Stretch], prior: float) -> float:
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
