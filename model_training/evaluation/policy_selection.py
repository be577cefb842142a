"""Selects the verdict level and the alarm policy on one half of the recordings, and confirms them on the other half, both ways.

`python -m model_training.evaluation.policy_selection --data DIR --bundle DIR... [--document FILE.md]`; the bundles are seeds of one recipe.
It does not need TensorFlow.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.errors import EdgemlError
from edgeml.model.bundle import Bundle
from model_training.evaluation import metrics
from model_training.evaluation.bundle_scoring import apply_policy, shortest_decimal
from model_training.evaluation.figures import TEST, Segment
from model_training.evaluation.recordings import find, labelled
from model_training.evaluation.report import number, percent, seconds
from model_training.evaluation.run import evaluate_bundle
from model_training.evaluation.splits import halves
from model_training.progress import steps
from model_training.report import document
from model_training.report.model_card import markdown

NAME = "policy selection"
MAX_PER_HOUR = 0.9
"""False alarms an hour that a selected policy may have on the half that selects it."""
LEVELS = tuple(level / 100 for level in range(30, 95, 5))


@dataclass(frozen=True)
class Candidate:
    """A policy, by the options that differ from the defaults."""

    raise_at: float
    votes: int
    of: int
    hold_s: float
    clear_hold_s: float
    cooldown_s: float

    def options(self) -> PolicyOptions:
        return PolicyOptions(**vars(self))

    def __str__(self) -> str:
        return (
            f"{self.votes} of {self.of} at {self.raise_at:g}, held for {self.hold_s:g} s, cleared after {self.clear_hold_s:g} s, "
            f"quiet for {self.cooldown_s:g} s"
        )


PRESENT = Candidate(0.9, 3, 5, 5, 10, 60)
CANDIDATES = tuple(
    Candidate(raise_at, votes, of, hold_s, clear_hold_s, cooldown_s)
    for raise_at, (votes, of), hold_s, clear_hold_s, cooldown_s in itertools.product(
        (0.85, 0.9, 0.95), ((1, 1), (2, 3), (3, 5), (5, 8), (8, 12)), (0, 2, 5, 10), (10, 30), (60, 120)
    )
)


@dataclass(frozen=True)
class Counts:
    """Of one recording, one seed and one policy: delays of its episodes in s, alarms raised in normal rows, and hours of these rows."""

    delays: tuple[float, ...]
    false: int
    hours: float


@dataclass(frozen=True)
class Figures:
    """Means over the seeds."""

    f1: float
    false_alarm_rate: float
    per_hour: float
    delay_s: float


class Evidence:
    """The confidences of all seeds for all recordings, and the counts of each policy."""

    def __init__(self, seeds: Sequence[Mapping[str, Segment]]) -> None:
        self._seeds = seeds
        self._counts: dict[Candidate, list[dict[str, Counts]]] = {}
        self._matrices: dict[float, list[dict[str, metrics.ConfusionMatrix]]] = {}

    def policy(self, candidate: Candidate, names: Sequence[str]) -> tuple[float, float]:
        """False alarms an hour, and the median delay in s, over these recordings, mean over the seeds."""
        if candidate not in self._counts:
            options = candidate.options()
            self._counts[candidate] = [{name: _count(each, options) for name, each in seed.items()} for seed in self._seeds]
        rates, delays = [], []
        for seed in self._counts[candidate]:
            chosen = [seed[name] for name in names]
            rates.append(sum(each.false for each in chosen) / sum(each.hours for each in chosen))
            delays.append(metrics.median([delay for each in chosen for delay in each.delays]))
        return float(np.mean(rates)), float(np.mean(delays))

    def level(self, level: float, names: Sequence[str]) -> tuple[float, float]:
        """F1 and false-alarm rate over these recordings, mean over the seeds."""
        if level not in self._matrices:
            self._matrices[level] = [
                {name: _matrix(each, level) for name, each in seed.items() if each.recording.anomaly is not None} for seed in self._seeds
            ]
        pooled = [metrics.pooled(seed[name] for name in names if name in seed) for seed in self._matrices[level]]
        return float(np.mean([each.f1 for each in pooled])), float(np.mean([each.false_alarm_rate for each in pooled]))

    def figures(self, candidate: Candidate, level: float, names: Sequence[str]) -> Figures:
        return Figures(*self.level(level, names), *self.policy(candidate, names))

    def select(self, names: Sequence[str]) -> tuple[Candidate, float]:
        """The policy with the shortest median delay among those with few false alarms, and the verdict level with the highest F1."""
        rated = {}
        for done, candidate in enumerate(CANDIDATES):
            rated[candidate] = self.policy(candidate, names)
            steps("policy", done + 1, len(CANDIDATES))
        quiet = [candidate for candidate in CANDIDATES if rated[candidate][0] <= MAX_PER_HOUR]
        best = min(quiet or CANDIDATES, key=lambda each: (rated[each][1], rated[each][0]))
        return best, max(LEVELS, key=lambda level: self.level(level, names)[0])


def select_crosswise(evidence: Evidence, names: Sequence[str], normal: Sequence[str], level: float) -> str:
    """The table of the selection on each half and its confirmation on the other, beside the present policy and verdict level.

    Args:
        names: labelled recordings, which are halved.
        normal: pieces of normal running, which are given to the halves alternately.
    """
    first, second = halves(names)
    sides = ([*first, *normal[::2]], [*second, *normal[1::2]])
    lines, both = [], []
    for number_, (own, other) in enumerate((sides, sides[::-1])):
        candidate, chosen_level = evidence.select(own)
        lines.append(f"The {('first', 'second')[number_]} half selects {candidate}; verdict level {chosen_level:g}.")
        both.append((evidence.figures(candidate, chosen_level, own), evidence.figures(candidate, chosen_level, other)))
    present = [evidence.figures(PRESENT, level, side) for side in sides]
    rows: list[tuple[str, ...]] = [
        (
            "figure, mean over the seeds",
            "present, first half",
            "present, second half",
            "selected on the first",
            "confirmed on the second",
            "selected on the second",
            "confirmed on the first",
            "mean loss by confirmation",
        )
    ]
    for title, field, show in (
        ("F1", "f1", number),
        ("false-alarm rate", "false_alarm_rate", percent),
        ("alarms an hour after the policy", "per_hour", lambda value: number(value, 2)),
        ("median delay after the policy", "delay_s", seconds),
    ):
        values = [getattr(each, field) for pair in both for each in pair]
        loss = (values[1] - values[0] + values[3] - values[2]) / 2
        cells = [show(getattr(each, field)) for each in present] + [show(value) for value in values]
        rows.append((title, *cells, f"{'-' if loss < 0 else '+'}{show(abs(loss))}" if math.isfinite(loss) else "-"))
    head = f"Present: {PRESENT}; verdict level {level:g}. {len(CANDIDATES)} policies and {len(LEVELS)} verdict levels."
    return "\n\n".join([head, *lines, markdown(rows)])


def _count(segment: Segment, options: PolicyOptions) -> Counts:
    recording = segment.recording
    result = apply_policy(recording, segment.result.confidence, 0.5, options=options)
    truth = np.zeros(len(recording), bool) if recording.anomaly is None else recording.anomaly
    delays = () if recording.anomaly is None else tuple(metrics.delays(recording.times[TEST], result.alarm[TEST], truth[TEST]))
    false = sum(row >= TEST.start and not truth[row] for row in result.raised)
    return Counts(delays, false, metrics.hours(recording.times[TEST], ~truth[TEST]))


def _matrix(segment: Segment, level: float) -> metrics.ConfusionMatrix:
    assert segment.recording.anomaly is not None
    verdict = shortest_decimal(segment.result.confidence) >= level
    return metrics.confusion_matrix(verdict[TEST], segment.recording.anomaly[TEST])


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m model_training.evaluation.policy_selection", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder with the recordings")
    parser.add_argument("--bundle", type=Path, required=True, nargs="+", help="folders of the bundles, one for each seed")
    parser.add_argument("--document", type=Path, help=f"document whose text between the markers `{NAME}` is replaced")
    options = parser.parse_args(arguments)
    try:
        bundles = [Bundle.load(folder) for folder in options.bundle]
        dataset = find(options.data, bundles[0].manifest.interval_s)
        seeds = []
        for bundle in bundles:
            evaluated = evaluate_bundle(bundle, dataset)
            pieces = {f"{each.recording.full_name} {number_}": each for number_, each in enumerate(evaluated.near)}
            seeds.append({each.recording.full_name: each for each in evaluated.segments} | pieces)
            steps("bundle", len(seeds), len(bundles))
        names = [each.full_name for each in labelled(dataset.recordings)]
        text = select_crosswise(Evidence(seeds), names, list(pieces), bundles[0].manifest.verdict_level)
        print(text)
        if options.document:
            before = options.document.read_text(encoding="utf-8")
            options.document.write_text(document.replace(before, NAME, text), encoding="utf-8")
    except (EdgemlError, OSError, ValueError) as fault:
        print(f"{parser.prog}: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
