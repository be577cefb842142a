"""The figures of a bundle on recordings of any layout, with labels, spans of events, or neither."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgeml.timestamps import SECOND
from model_training import calibration
from model_training.evaluation import metrics
from model_training.evaluation.bundle_scoring import DetectorResult
from model_training.evaluation.history_data import first_decided
from model_training.evaluation.intervals import UNDEFINED, Interval, rate, share
from model_training.history import Recording

WEEK_H = 7 * 24.0


@dataclass(frozen=True)
class EvaluatedRecording:
    """A recording with the result of a bundle.

    Attributes:
        title: its name in reports.
        interval_s, longest_gap_s: of the bundle; a longer gap between rows counts as the longest one.
    """

    title: str
    recording: Recording
    result: DetectorResult
    interval_s: float
    longest_gap_s: float

    @property
    def begin(self) -> int:
        """The first row with a decision; earlier rows do not count, unless a fault is known in them."""
        return first_decided(self.result.confidence)

    def normal(self) -> np.ndarray:
        """(n,) bool: rows of normal running from the first decision on."""
        normal = self.recording.normal()
        normal[: self.begin] = False
        return normal

    def events(self) -> list[slice] | None:
        """Rows of each known fault; None if the recording states none."""
        if self.recording.events is not None:
            spans = np.array(self.recording.events, np.int64).reshape(-1, 2)
            begin = np.searchsorted(self.recording.times, spans[:, 0], "left")
            end = np.searchsorted(self.recording.times, spans[:, 1], "right")
            return [slice(int(a), int(b)) for a, b in zip(begin, end, strict=True) if b > a]
        return None if self.recording.labels is None else metrics.episodes(self.recording.labels)


@dataclass(frozen=True)
class HistoryFigures:
    """Figures over the rows of recordings. An undefined figure is NaN; a delay of a missed event is infinite.

    Attributes:
        rows, decided: all rows, and those with a decision.
        counted: rows from the first decision of each recording on; the shares are of these.
        verdict_rows, alarm_rows, verdict_share, alarm_share: rows with a positive `verdict`, and with an active alarm.
        normal_rows, normal_verdict_share, normal_alarm_share: the same among rows of normal running.
        alarms, false_alarms: alarms raised, and those in normal running.
        normal_hours, false_alarms_per_week: hours of normal running, and the rate with its interval.
        events, found, already_active: known faults, those with an active alarm in them, and those of which the alarm began before.
        found_share: with its interval.
        delay_*: from the first row of an event to its first row with an active alarm, in rows and in s; missed events count as infinite.
        f1, precision, recall: of the `verdict` over rows with labels; a row without a decision counts as negative.
        calibration_error: over decided rows with labels, at the manifest's prior.
        undecided_reasons: rows without a decision by reason.
    """

    recordings: int
    rows: int
    decided: int
    counted: int
    verdict_rows: int
    alarm_rows: int
    verdict_share: float
    alarm_share: float
    normal_rows: int
    normal_verdict_share: float
    normal_alarm_share: float
    alarms: int
    false_alarms: int
    normal_hours: float
    false_alarms_per_week: Interval
    events: int
    found: int
    already_active: int
    found_share: Interval
    delay_median_rows: float
    delay_p90_rows: float
    delay_median_s: float
    delay_p90_s: float
    f1: float
    precision: float
    recall: float
    calibration_error: float
    undecided_reasons: dict[str, int]

    def plain(self) -> dict[str, Any]:
        """Plain data; intervals as [estimate, low, high]."""
        return {key: list(value) if isinstance(value, Interval) else value for key, value in asdict(self).items()}


def figures(evaluated: Sequence[EvaluatedRecording], prior: float) -> HistoryFigures:
    """The figures of recordings together.

    Args:
        prior: of the calibration error.
    """
    results = [each.result for each in evaluated]
    normal = [each.normal() for each in evaluated]
    counted = [np.arange(len(each.recording)) >= each.begin for each in evaluated]
    false = sum(bool(rows[at]) for rows, result in zip(normal, results, strict=True) for at in result.raised)
    hours = math.fsum(
        metrics.hours(each.recording.times, rows, max(each.longest_gap_s, each.interval_s), each.interval_s)
        for each, rows in zip(evaluated, normal, strict=True)
    )
    delays = [delay for each in evaluated for delay in _delays(each)]
    found = sum(delay is not None for delay in delays)
    in_rows = [math.inf if delay is None else delay.rows for delay in delays]
    in_s = [math.inf if delay is None else delay.seconds for delay in delays]
    matrix = metrics.pooled(_confusion(each) for each in evaluated if each.recording.labels is not None)
    reasons: Counter[str] = Counter()
    for result in results:
        reasons.update({reason: n for reason, n in result.reasons.items() if n})
    verdicts, alarms = ([getattr(result, name) for result in results] for name in ("verdict", "alarm"))
    return HistoryFigures(
        recordings=len(evaluated),
        rows=sum(len(each.recording) for each in evaluated),
        decided=sum(int((~result.undecided).sum()) for result in results),
        counted=_sum(counted),
        verdict_rows=_both(verdicts, counted),
        alarm_rows=_both(alarms, counted),
        verdict_share=_ratio(_both(verdicts, counted), _sum(counted)),
        alarm_share=_ratio(_both(alarms, counted), _sum(counted)),
        normal_rows=_sum(normal),
        normal_verdict_share=_ratio(_both(verdicts, normal), _sum(normal)),
        normal_alarm_share=_ratio(_both(alarms, normal), _sum(normal)),
        alarms=sum(len(result.raised) for result in results),
        false_alarms=false,
        normal_hours=hours,
        false_alarms_per_week=rate(false, hours / WEEK_H),
        events=len(delays),
        found=found,
        already_active=sum(delay is not None and delay.before for delay in delays),
        found_share=share(found, len(delays)) if delays else UNDEFINED,
        delay_median_rows=metrics.median(in_rows),
        delay_p90_rows=metrics.quantile(in_rows, 0.9),
        delay_median_s=metrics.median(in_s),
        delay_p90_s=metrics.quantile(in_s, 0.9),
        f1=matrix.f1,
        precision=_ratio(matrix.tp, matrix.tp + matrix.fp),
        recall=_ratio(matrix.tp, matrix.tp + matrix.fn),
        calibration_error=_calibration_error(evaluated, prior),
        undecided_reasons=dict(reasons),
    )


@dataclass(frozen=True)
class Delay:
    """From the first row of an event to its first row with an active alarm. `before`: the alarm began before the event."""

    rows: int
    seconds: float
    before: bool


def _delays(evaluated: EvaluatedRecording) -> list[Delay | None]:
    """The delay of each event; None: missed."""
    out: list[Delay | None] = []
    times, alarm = evaluated.recording.times, evaluated.result.alarm
    for rows in evaluated.events() or ():
        hits = np.flatnonzero(alarm[rows])
        if not len(hits):
            out.append(None)
            continue
        at = rows.start + int(hits[0])
        before = at == rows.start and at > 0 and bool(alarm[at - 1])
        out.append(Delay(at - rows.start, (int(times[at]) - int(times[rows.start])) / SECOND, before))
    return out


def _confusion(evaluated: EvaluatedRecording) -> metrics.ConfusionMatrix:
    labels = evaluated.recording.labels
    assert labels is not None
    keep = ~evaluated.recording.excluded & (labels | (np.arange(len(labels)) >= evaluated.begin))
    return metrics.confusion_matrix(evaluated.result.verdict[keep], labels[keep])


def _calibration_error(evaluated: Sequence[EvaluatedRecording], prior: float) -> float:
    labelled = [each for each in evaluated if each.recording.labels is not None]
    keep = [~each.result.undecided & ~each.recording.excluded for each in labelled]
    if not labelled:
        return math.nan
    confidence = np.concatenate([each.result.confidence[rows] for each, rows in zip(labelled, keep, strict=True)])
    truth = np.concatenate([np.asarray(each.recording.labels)[rows] for each, rows in zip(labelled, keep, strict=True)])
    try:
        return calibration.expected_error(confidence, truth, prior)
    except ValueError:  # only one of the two classes occurs
        return math.nan


def _sum(masks: Sequence[np.ndarray]) -> int:
    return sum(int(mask.sum()) for mask in masks)


def _both(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> int:
    return sum(int((a & b).sum()) for a, b in zip(one, other, strict=True))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
