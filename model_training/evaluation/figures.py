"""The figures of an evaluation, always reported together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model_training import calibration
from model_training.evaluation import metrics, nab
from model_training.evaluation.bundle_scoring import Detector, DetectorResult
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import BASELINE_ROWS, pieces

TEST = slice(BASELINE_ROWS, None)


@dataclass(frozen=True)
class Segment:
    """A recording or a piece of one, with the detector's result.

    Attributes:
        calibrated: the labels were used for the model's calibration, so they cannot measure the calibration error.
    """

    recording: Recording
    result: DetectorResult
    calibrated: bool = False


@dataclass(frozen=True)
class Figures:
    """Figures over test rows. A rate is a share, 0 to 1. An undefined figure is NaN; a delay may be infinite.

    Attributes:
        f1, false_alarm_rate, missed_alarm_rate: pooled over all rows of labelled recordings; no decision counts as negative.
        nab: NAB changepoint score.
        normal_false_alarm_rate, normal_rows: share of positive verdicts in normal running, and number of its rows.
        delay_median_s, delay_p90_s: from the first row of an episode to its first positive verdict; infinite for a missed episode.
        alarm_delay_median_s, alarm_delay_p90_s: the same to an active alarm, after the policy.
        episodes, detected: number of episodes, and of those with an active alarm, after the policy.
        false_alarms, hours: alarms raised in normal rows, after the policy, and hours of these rows, recordings and normal running
            together.
        false_alarms_per_hour: false_alarms / hours.
        normal_false_alarms, normal_hours: the same in normal running only.
        calibration_error: expected calibration error over decided rows of recordings not used for calibration, at the manifest's prior.
        undecided, undecided_anomalous, normal_undecided: test rows without a decision; the anomalous ones; those in normal running.
        undecided_reasons: rows without a decision by reason, over all rows.
    """

    recordings: int
    rows: int
    f1: float
    false_alarm_rate: float
    missed_alarm_rate: float
    nab: float
    normal_false_alarm_rate: float
    normal_rows: int
    delay_median_s: float
    delay_p90_s: float
    alarm_delay_median_s: float
    alarm_delay_p90_s: float
    episodes: int
    detected: int
    false_alarms: int
    hours: float
    false_alarms_per_hour: float
    normal_false_alarms: int
    normal_hours: float
    calibration_error: float
    undecided: int
    undecided_anomalous: int
    normal_undecided: int
    undecided_reasons: dict[str, int]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def run_detector(detector: Detector, recordings: Sequence[Recording]) -> list[Segment]:
    """Run the detector on each recording separately, from its first row."""
    return [Segment(recording, detector(recording)) for recording in recordings]


def normal_pieces(free: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Cut recordings of normal running into pieces: those that measure false alarms, and those of later rows."""
    near: list[Recording] = []
    later: list[Recording] = []
    for recording in free:
        first, rest = pieces(len(recording))
        near += [recording.part(rows) for rows in first]
        later += [recording.part(rows) for rows in rest]
    return near, later


def figures(segments: Sequence[Segment], normal: Sequence[Segment], prior: float) -> Figures:
    """Compute the figures of recordings and of pieces of normal running. Recordings without labels are ignored.

    Args:
        prior: prior of the calibration error.
    """
    labelled = [segment for segment in segments if segment.recording.anomaly is not None]
    matrix = metrics.pooled(confusion_of(segment) for segment in labelled)
    delays = [delay for segment in labelled for delay in _delays(segment, segment.result.verdict)]
    alarm_delays = [delay for segment in labelled for delay in _delays(segment, segment.result.alarm)]
    normal_matrix = metrics.pooled(_normal_matrix(segment) for segment in normal)
    normal_false, normal_hours = _false_alarms(normal)
    false, hours = _false_alarms(labelled)
    false, hours = false + normal_false, hours + normal_hours
    reasons: Counter[str] = Counter()
    for segment in labelled:
        reasons.update({reason: n for reason, n in segment.result.reasons.items() if n})
    return Figures(
        recordings=len(labelled),
        rows=sum(matrix),
        f1=matrix.f1,
        false_alarm_rate=matrix.false_alarm_rate,
        missed_alarm_rate=matrix.missed_alarm_rate,
        nab=nab.total(map(_nab, labelled)).score,
        normal_false_alarm_rate=normal_matrix.false_alarm_rate,
        normal_rows=sum(normal_matrix),
        delay_median_s=metrics.median(delays),
        delay_p90_s=metrics.quantile(delays, 0.9),
        alarm_delay_median_s=metrics.median(alarm_delays),
        alarm_delay_p90_s=metrics.quantile(alarm_delays, 0.9),
        episodes=len(alarm_delays),
        detected=sum(math.isfinite(delay) for delay in alarm_delays),
        false_alarms=false,
        hours=hours,
        false_alarms_per_hour=false / hours if hours else math.nan,
        normal_false_alarms=normal_false,
        normal_hours=normal_hours,
        calibration_error=_calibration_error(labelled, prior),
        undecided=sum(int(segment.result.undecided[TEST].sum()) for segment in labelled),
        undecided_anomalous=sum(int((segment.result.undecided & segment.recording.anomaly)[TEST].sum()) for segment in labelled),
        normal_undecided=sum(int(segment.result.undecided[TEST].sum()) for segment in normal),
        undecided_reasons=dict(reasons),
    )


def confusion_of(segment: Segment) -> metrics.ConfusionMatrix:
    """Confusion matrix of the test rows."""
    assert segment.recording.anomaly is not None
    return metrics.confusion_matrix(segment.result.verdict[TEST], segment.recording.anomaly[TEST])


def decided(segments: Sequence[Segment], scores: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Confidence (or score) and label of all test rows with a decision: (n,) float, (n,) bool."""
    values, truth = [np.empty(0, np.float32)], [np.empty(0, bool)]
    for segment in segments:
        if segment.recording.anomaly is None:
            continue
        keep = ~segment.result.undecided[TEST]
        values.append((segment.result.score if scores else segment.result.confidence)[TEST][keep])
        truth.append(segment.recording.anomaly[TEST][keep])
    return np.concatenate(values), np.concatenate(truth)


def _calibration_error(segments: Sequence[Segment], prior: float) -> float:
    values, truth = decided([segment for segment in segments if not segment.calibrated])
    try:
        return calibration.expected_error(values, truth, prior)
    except ValueError:
        return math.nan


def _delays(segment: Segment, values: np.ndarray) -> list[float]:
    assert segment.recording.anomaly is not None
    return metrics.delays(segment.recording.times[TEST], values[TEST], segment.recording.anomaly[TEST])


def _nab(segment: Segment) -> nab.NabScore:
    mark = segment.recording.changepoint
    if mark is None:
        return nab.NabScore(0.0, 0)
    return nab.score_changepoints(segment.recording.times[TEST], segment.result.verdict[TEST], mark[TEST])


def _normal_matrix(segment: Segment) -> metrics.ConfusionMatrix:
    return metrics.confusion_matrix(segment.result.verdict[TEST], _truth(segment)[TEST])


def _truth(segment: Segment) -> np.ndarray:
    mark = segment.recording.anomaly
    return np.zeros(len(segment.recording), bool) if mark is None else mark


def _false_alarms(segments: Sequence[Segment]) -> tuple[int, float]:
    """Alarms raised in normal test rows, and the hours of these rows."""
    alarms, hours = 0, 0.0
    for segment in segments:
        truth = _truth(segment)
        alarms += sum(row >= BASELINE_ROWS and not truth[row] for row in segment.result.raised)
        hours += metrics.hours(segment.recording.times[TEST], ~truth[TEST])
    return alarms, hours
