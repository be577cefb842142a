"""Selects `verdict_level` and the alarm policy on one half of the recordings, and confirms them on the other half, both ways.

The selected policy has the shortest median delay of those that raise no more false alarms than the present policy on that half. The
selected `verdict_level` has the highest F1 of those with a false-alarm rate of at most `MAX_FALSE_RATE`.

`python -m model_training.evaluation.policy_selection --data DIR --bundle DIR... [--document FILE.md]`; the bundles are seeds of one recipe.
It does not need TensorFlow.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeml.alarms.alarm_policy import ACTIVE, ALARMED, AlarmPolicy, PolicyOptions
from edgeml.errors import EdgemlError
from edgeml.model.bundle import Bundle
from model_training.evaluation import metrics
from model_training.evaluation.bundle_scoring import shortest_decimal
from model_training.evaluation.figures import TEST, Segment
from model_training.evaluation.recordings import find, labelled
from model_training.evaluation.report import number, percent, seconds
from model_training.evaluation.run import evaluate_bundle
from model_training.evaluation.splits import halves
from model_training.progress import steps
from model_training.report import document
from model_training.report.model_card import markdown

NAME = "policy selection"
MAX_FALSE_RATE = 0.07
LEVELS = tuple(level / 100 for level in range(30, 95, 5))


@dataclass(frozen=True)
class Candidate:
    """A policy, by the options that differ from the defaults."""

    raise_at: float
    votes: int
    of: int
    hold_s: float

    def options(self) -> PolicyOptions:
        return PolicyOptions(raise_at=self.raise_at, votes=self.votes, of=self.of, hold_s=self.hold_s)

    def __str__(self) -> str:
        return f"{self.votes} of {self.of} results at {self.raise_at:g}, held for {self.hold_s:g} s"


DEFAULT = Candidate(0.9, 3, 5, 5)
CANDIDATES = tuple(
    Candidate(raise_at, votes, of, hold_s)
    for raise_at, (votes, of), hold_s in itertools.product(
        (0.9, 0.92, 0.93, 0.94, 0.95, 0.97), ((1, 1), (2, 2), (2, 3), (3, 5), (5, 8), (8, 12)), (0, 1, 2, 5, 10)
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
        """The policy and the `verdict_level` that these recordings select."""
        most = self.policy(DEFAULT, names)[0]
        rated = {candidate: self.policy(candidate, names) for candidate in CANDIDATES}
        quiet = [candidate for candidate in CANDIDATES if rated[candidate][0] <= most]
        levels = {level: self.level(level, names) for level in LEVELS}
        sound = [level for level in LEVELS if levels[level][1] <= MAX_FALSE_RATE] or [LEVELS[-1]]
        return min(quiet, key=lambda each: rated[each][::-1]), max(sound, key=lambda level: levels[level][0])

    def better(self, sides: Sequence[Sequence[str]]) -> list[Candidate]:
        """The policies with neither more false alarms nor a longer delay than the default on any side, the shortest delays first."""
        default = [self.policy(DEFAULT, side) for side in sides]
        rated = {candidate: [self.policy(candidate, side) for side in sides] for candidate in CANDIDATES}
        found = [
            each
            for each in CANDIDATES
            if each != DEFAULT and all(own[0] <= other[0] and own[1] <= other[1] for own, other in zip(rated[each], default, strict=True))
        ]
        return sorted(found, key=lambda each: (sum(delay for _, delay in rated[each]), sum(rate for rate, _ in rated[each])))


def select_crosswise(evidence: Evidence, names: Sequence[str], normal: Sequence[str], level: float) -> str:
    """The tables: the selection on each half and its confirmation on the other, and the policies that are better on both.

    Args:
        names: labelled recordings, which are halved.
        normal: pieces of normal running, which are given to the halves alternately.
        level: the present `verdict_level`.
    """
    first, second = halves(names)
    sides = ([*first, *normal[::2]], [*second, *normal[1::2]])
    titles = ("first", "second")
    lines, columns = (
        [],
        [(f"default, {title} half", evidence.figures(DEFAULT, level, side)) for title, side in zip(titles, sides, strict=True)],
    )
    losses = []
    for own, other in ((0, 1), (1, 0)):
        candidate, chosen_level = evidence.select(sides[own])
        lines.append(f"The {titles[own]} half selects {candidate}, and the `verdict_level` {chosen_level:g}.")
        pair = evidence.figures(candidate, chosen_level, sides[own]), evidence.figures(candidate, chosen_level, sides[other])
        columns += [(f"selected on the {titles[own]} half", pair[0]), (f"confirmed on the {titles[other]}", pair[1])]
        losses.append(pair)
    rows: list[tuple[str, ...]] = [("mean over the seeds", *(title for title, _ in columns), "mean difference")]
    for name, field, show in _ROWS:
        change = sum(getattr(confirmed, field) - getattr(selected, field) for selected, confirmed in losses) / 2
        cells = [show(getattr(figures, field)) for _, figures in columns]
        rows.append((name, *cells, f"{'−' if change < 0 else '+'}{show(abs(change))}" if math.isfinite(change) else "-"))
    return "\n\n".join(
        [
            f"{len(CANDIDATES)} policies, {len(LEVELS)} values of `verdict_level`. Default: {DEFAULT}; `verdict_level` {level:g}.",
            *lines,
            markdown(rows),
            _both(evidence, sides),
        ]
    )


_ROWS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("F1", "f1", number),
    ("false-alarm rate", "false_alarm_rate", percent),
    ("false alarms an hour after the policy", "per_hour", lambda value: number(value, 2)),
    ("median delay after the policy", "delay_s", seconds),
)
_LISTED = 3


def _both(evidence: Evidence, sides: Sequence[Sequence[str]]) -> str:
    """The policies that are not worse than the default on either half."""
    better = evidence.better(sides)
    whole = [name for side in sides for name in side]
    rows: list[tuple[str, ...]] = [("policy", "first half", "second half", "all recordings")]
    for candidate in (DEFAULT, *better[:_LISTED]):
        cells = (evidence.policy(candidate, names) for names in (*sides, whole))
        rows.append(
            (f"{candidate}{', the default' if candidate == DEFAULT else ''}", *(f"{rate:.2f}/h, {delay:.0f} s" for rate, delay in cells))
        )
    return f"{len(better)} policies are not worse than the default on either half:\n\n{markdown(rows)}"


def _count(segment: Segment, options: PolicyOptions) -> Counts:
    """Run the policy over the test rows; there is no decision before these."""
    recording = segment.recording
    times = recording.times[TEST]
    truth = np.zeros(len(times), bool) if recording.anomaly is None else recording.anomaly[TEST]
    policy = AlarmPolicy(options, recording.full_name, "")
    alarm, false = np.zeros(len(times), bool), 0
    for change in policy.evaluate_block("recording", times.tolist(), segment.result.confidence[TEST].tolist()).changes:
        alarm[change.row :] = change.alarm.state in ALARMED
        false += change.alarm.state == ACTIVE and not truth[change.row]
    delays = () if recording.anomaly is None else tuple(metrics.delays(times, alarm, truth))
    return Counts(delays, false, metrics.hours(times, ~truth))


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
