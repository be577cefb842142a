"""The figures that are always reported together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model_training import calibration
from model_training.evaluation import metrics, nab
from model_training.evaluation.bundle_scoring import Judge, Judged
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import BASELINE_ROWS, pieces

TEST = slice(BASELINE_ROWS, None)


@dataclass(frozen=True)
class Stretch:
    """A recording, or a piece of one, and what became of it.

    Attributes:
        calibrated: its labels fitted the model's calibration, so that it cannot measure it.
    """

    recording: Recording
    judged: Judged
    calibrated: bool = False


@dataclass(frozen=True)
class Figures:
    """Over test rows only; a rate is a share, 0 to 1; a figure that cannot be formed is NaN, a delay in s may be infinite.

    Attributes:
        f1, false_alarm_rate, missed_alarm_rate: pooled over all rows of all labelled recordings, no decision counting as no.
        nab: changepoint score.
        normal_false_alarm_rate, normal_rows: verdicts in normal running, of so many rows.
        delay_median_s, delay_p90_s: from an episode's first row to the first verdict in it, a missed episode being infinite.
        alarm_delay_median_s, alarm_delay_p90_s: the same to an active alarm, after the policy.
        episodes, found: episodes, and those in which an alarm was active, after the policy.
        false_alarms, hours: alarms raised in normal rows, after the policy, in so many hours of them, recordings and normal
            running together.
        false_alarms_per_hour: the ratio.
        normal_false_alarms, normal_hours: the part of the two in normal running.
        calibration_error: expected, over decided rows of recordings that did not calibrate, re-weighted to the manifest's prior.
        undecided: test rows without a decision, by reason `undecided_reasons` over all rows.
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
    found: int
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


def judge_all(judge: Judge, recordings: Sequence[Recording]) -> list[Stretch]:
    """Each recording by itself, from its first row."""
    return [Stretch(recording, judge(recording)) for recording in recordings]


def free_pieces(free: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """The pieces that measure false alarms in normal running, and those of later rows."""
    near: list[Recording] = []
    later: list[Recording] = []
    for recording in free:
        first, rest = pieces(len(recording))
        near += [recording.part(rows) for rows in first]
        later += [recording.part(rows) for rows in rest]
    return near, later


def figures(stretches: Sequence[Stretch], normal: Sequence[Stretch], prior: float) -> Figures:
    """Of recordings (those without labels do not count) and of pieces of normal running.

    Args:
        prior: that the calibration error is re-weighted to.
    """
    known = [stretch for stretch in stretches if stretch.recording.anomaly is not None]
    total = metrics.pooled(count_of(stretch) for stretch in known)
    delays = [delay for stretch in known for delay in _delays(stretch, stretch.judged.verdict)]
    alarm_delays = [delay for stretch in known for delay in _delays(stretch, stretch.judged.alarm)]
    quiet_count = metrics.pooled(_normal_count(stretch) for stretch in normal)
    quiet_false, quiet_hours = _false_alarms(normal)
    false, hours = _false_alarms(known)
    false, hours = false + quiet_false, hours + quiet_hours
    reasons: Counter[str] = Counter()
    for stretch in known:
        reasons.update({reason: n for reason, n in stretch.judged.reasons.items() if n})
    return Figures(
        recordings=len(known),
        rows=sum(total),
        f1=total.f1,
        false_alarm_rate=total.false_alarm_rate,
        missed_alarm_rate=total.missed_alarm_rate,
        nab=nab.total(map(_nab, known)).score,
        normal_false_alarm_rate=quiet_count.false_alarm_rate,
        normal_rows=sum(quiet_count),
        delay_median_s=metrics.median(delays),
        delay_p90_s=metrics.quantile(delays, 0.9),
        alarm_delay_median_s=metrics.median(alarm_delays),
        alarm_delay_p90_s=metrics.quantile(alarm_delays, 0.9),
        episodes=len(alarm_delays),
        found=sum(math.isfinite(delay) for delay in alarm_delays),
        false_alarms=false,
        hours=hours,
        false_alarms_per_hour=false / hours if hours else math.nan,
        normal_false_alarms=quiet_false,
        normal_hours=quiet_hours,
        calibration_error=_calibration_error(known, prior),
        undecided=sum(int(stretch.judged.undecided[TEST].sum()) for stretch in known),
        undecided_anomalous=sum(int((stretch.judged.undecided & stretch.recording.anomaly)[TEST].sum()) for stretch in known),
        normal_undecided=sum(int(stretch.judged.undecided[TEST].sum()) for stretch in normal),
        undecided_reasons=dict(reasons),
    )


def count_of(stretch: Stretch) -> metrics.Count:
    """Rows by verdict and label."""
    assert stretch.recording.anomaly is not None
    return metrics.count(stretch.judged.verdict[TEST], stretch.recording.anomaly[TEST])


def decided(stretches: Sequence[Stretch], scores: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Confidence (or score) and label of all decided test rows: (n,) float, (n,) bool."""
    said, truth = [np.empty(0, np.float32)], [np.empty(0, bool)]
    for stretch in stretches:
        if stretch.recording.anomaly is None:
            continue
        keep = ~stretch.judged.undecided[TEST]
        said.append((stretch.judged.score if scores else stretch.judged.confidence)[TEST][keep])
        truth.append(stretch.recording.anomaly[TEST][keep])
    return np.concatenate(said), np.concatenate(truth)


def _calibration_error(stretches: Sequence[Stretch], prior: float) -> float:
    said, truth = decided([stretch for stretch in stretches if not stretch.calibrated])
    try:
        return calibration.expected_error(said, truth, prior)
    except ValueError:
        return math.nan


def _delays(stretch: Stretch, said: np.ndarray) -> list[float]:
    assert stretch.recording.anomaly is not None
    return metrics.delays(stretch.recording.times[TEST], said[TEST], stretch.recording.anomaly[TEST])


def _nab(stretch: Stretch) -> nab.Points:
    mark = stretch.recording.changepoint
    if mark is None:
        return nab.Points(0.0, 0)
    return nab.points(stretch.recording.times[TEST], stretch.judged.verdict[TEST], mark[TEST])


def _normal_count(stretch: Stretch) -> metrics.Count:
    return metrics.count(stretch.judged.verdict[TEST], _truth(stretch)[TEST])


def _truth(stretch: Stretch) -> np.ndarray:
    mark = stretch.recording.anomaly
    return np.zeros(len(stretch.recording), bool) if mark is None else mark


def _false_alarms(stretches: Sequence[Stretch]) -> tuple[int, float]:
    """Alarms raised in normal test rows, and the hours of those."""
    alarms, hours = 0, 0.0
    for stretch in stretches:
        truth = _truth(stretch)
        alarms += sum(row >= BASELINE_ROWS and not truth[row] for row in stretch.judged.raised)
        hours += metrics.hours(stretch.recording.times[TEST], ~truth[TEST])
    return alarms, hours
