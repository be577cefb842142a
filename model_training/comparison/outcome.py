"""What a detector makes of later rows: alarms in normal rows, events found, and injected steps found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeml.alarms.alarm_policy import AlarmPolicy
from model_training.comparison.methods import Detector
from model_training.comparison.public_sets import Case
from model_training.evaluation import metrics
from model_training.evaluation.bundle_scoring import alarm_rows
from model_training.history import Recording
from model_training.machine import series
from model_training.machine.layout import Layout

SIZES = (0.0, 1.0, 2.0, 4.0)
"""Sizes of the injected steps, in standard deviations of the channel in the history. Size 0 counts alarms by chance."""
WITHIN = 64
"""Rows within which a step must raise an alarm."""
TRIALS = 40
"""Steps of each size for each machine."""


@dataclass(frozen=True)
class Outcome:
    """The result of one method for one or more machines.

    Attributes:
        normal_rows, rows_in_alarm: decided rows outside events; those of them with an active alarm.
        alarms, expected: alarms raised in normal rows, and the number that the budget allows in these.
        delays: for each event the rows until an alarm is active; infinite for a missed event.
        steps: injected steps of each size.
        found: steps of each of `SIZES` that raised an alarm.
    """

    normal_rows: int
    rows_in_alarm: int
    alarms: int
    expected: float
    delays: tuple[float, ...]
    steps: int
    found: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """A step to inject: the recording, its first row, the channel, and the signed standard deviation."""

    recording: Recording
    begin: int
    channel: int
    size: float


def total(outcomes: Sequence[Outcome]) -> Outcome:
    """The sum over machines."""
    return Outcome(
        sum(each.normal_rows for each in outcomes),
        sum(each.rows_in_alarm for each in outcomes),
        sum(each.alarms for each in outcomes),
        sum(each.expected for each in outcomes),
        tuple(delay for each in outcomes for delay in each.delays),
        sum(each.steps for each in outcomes),
        tuple(sum(each.found[number] for each in outcomes) for number in range(len(SIZES))),
    )


def measure(detector: Detector, case: Case, steps: Sequence[Step]) -> Outcome:
    """Run the detector over the later rows of a machine, and over the injected steps."""
    normal_rows = in_alarm = raised = 0
    delays: list[float] = []
    for recording in case.measured:
        confidences = detector.confidences(recording.times, recording.values)
        alarm, begins = _alarms(detector, recording.times, confidences)
        normal = recording.normal()
        counted = normal & np.isfinite(confidences)
        normal_rows += int(counted.sum())
        in_alarm += int((counted & alarm).sum())
        raised += sum(bool(normal[row]) for row in begins)
        for event in metrics.episodes(~normal):
            hits = np.flatnonzero(alarm[event])
            delays.append(float(hits[0]) if len(hits) else math.inf)
    warm_up = rows_before(case)
    results = [_inject(detector, step, warm_up) for step in steps]
    tried = [each for each in results if each is not None]
    found = tuple(sum(each[number] for each in tried) for number in range(len(SIZES)))
    return Outcome(normal_rows, in_alarm, raised, normal_rows / detector.budget_rows, tuple(delays), len(tried), found)


def rows_before(case: Case) -> int:
    """Rows before a step, with which a detector begins: enough for the first decision of every method."""
    layout = Layout.of(len(case.history.recordings[0]))
    return layout.delay + layout.reference + 1


def place_steps(case: Case, seed: int) -> list[Step]:
    """Steps at random rows that are normal, as is what lies `rows_before` and `WITHIN` of them; in random channels and directions."""
    random = np.random.default_rng(seed)
    rows = series.collect(case.history)
    std = np.nanstd(rows.values[rows.normal], axis=0)
    context = [channel.role == "context" for channel in case.history.channels]
    channels = np.flatnonzero((std > 1e-9) & ~np.array(context))
    before = rows_before(case)
    places = []
    for number, recording in enumerate(case.measured):
        normal = np.concatenate([[0], np.cumsum(recording.normal())])
        begins = np.arange(before, len(recording) - WITHIN)
        whole = normal[begins + WITHIN] - normal[begins - before] == before + WITHIN
        places += [(number, int(begin)) for begin in begins[whole]]
    steps = []
    for place in np.sort(random.permutation(len(places))[:TRIALS]).tolist():
        number, begin = places[place]
        channel = int(random.choice(channels))
        steps.append(Step(case.measured[number], begin, channel, float(std[channel] * random.choice((-1, 1)))))
    return steps


def _inject(detector: Detector, step: Step, warm_up: int) -> list[bool] | None:
    """Whether a step of each of `SIZES` raises an alarm; None if an alarm is active or pending before it."""
    first, end = step.begin - warm_up, step.begin + WITHIN
    times, values = step.recording.times[first:end], step.recording.values[first:end]
    found = []
    for size in SIZES:
        changed = values.copy()
        changed[warm_up:, step.channel] += size * step.size
        alarm, begins = _alarms(detector, times, detector.confidences(times, changed))
        if alarm[warm_up - 1]:
            return None
        found.append(any(row >= warm_up for row in begins))
    return found


def _alarms(detector: Detector, times: np.ndarray, confidences: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Whether an alarm is active after each row, (n,) bool, and the rows at which one is raised."""
    policy = AlarmPolicy(detector.policy, "", "")
    return alarm_rows(policy.evaluate_block("recording", times.tolist(), confidences.tolist()).changes, len(times))
