"""Results that deployed models reported to IoT Core, read back for evaluation.

AlertDispatcher reports one result every `report.interval_s`, and every change of the verdict or of the alarm state (its README,
behaviors 20 and 21). A result therefore holds until the next one.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgeml.alarms.alarm_policy import ALARMED
from edgeml.timestamps import SECOND, from_iso
from model_training.evaluation.bundle_scoring import DetectorResult
from model_training.evaluation.metrics import ConfusionMatrix, confusion_matrix, delays
from model_training.evaluation.recordings import Recording

MAX_SILENCE_S = 120.0
"""Maximum duration that one result holds; a longer silence counts as this much running time."""


class _Result(msgspec.Struct):
    at: str
    verdict: str
    confidence: float | None = None
    reason: str | None = None
    alarm: str | None = None
    latency_us: tuple[float | None, float | None] = (None, None)


class _Report(msgspec.Struct):
    type: str
    thing: str = ""
    asset: str = ""
    model: str = ""
    model_version: str = ""
    digest: str = ""
    results: list[_Result] = []


class _Line(msgspec.Struct):
    """A line of gglocal's `iot-core.jsonl`. A rule of IoT Core writes the message itself instead."""

    topic: str = ""
    text: str | None = None


@dataclass(frozen=True)
class ReportedResults:
    """n results of one asset by one model, in time order.

    Attributes:
        digest: SHA-256 of the model file, hex.
        times: (n,) int64, ns.
        confidence: (n,) float32, NaN for no decision.
        verdict: (n,) bool, at or above the policy's `raise_at`; False without a decision.
        alarm: (n,) bool, an alarm is active.
        reasons: (n,) reason for no decision, or empty.
        latency_us: (n, 2) float32, latency of the preparation and of the model; NaN if unknown.
    """

    thing: str
    asset: str
    model: str
    version: str
    digest: str
    times: np.ndarray
    confidence: np.ndarray
    verdict: np.ndarray
    alarm: np.ndarray
    reasons: tuple[str, ...]
    latency_us: np.ndarray

    def report_at(self, times: np.ndarray) -> np.ndarray:
        """Index (m,) of the result that holds at each of `times` (m,) ns; -1 before the first."""
        return np.searchsorted(self.times, times, side="right") - 1

    def durations_s(self) -> np.ndarray:
        """Duration (n,) that each result holds."""
        return np.append(np.minimum(np.diff(self.times) / SECOND, MAX_SILENCE_S), 0.0)


@dataclass(frozen=True)
class ReportSet:
    """The results read from files.

    Attributes:
        results: one entry for each asset and model file, in the order of their names.
        faults: an error message for each line that cannot be decoded.
    """

    results: list[ReportedResults]
    faults: list[str]


@dataclass(frozen=True)
class Summary:
    """Operation of a deployed model; shares are of the time, 0 to 1.

    Attributes:
        hours: event time that the results span.
        alarms: number of alarms that became active.
        in_alarm, anomalous: shares with an active alarm, and with an anomalous verdict.
        undecided: share without a decision, by reason.
        latency_us: median and 99th percentile of the total latency.
    """

    hours: float
    alarms: int
    in_alarm: float
    anomalous: float
    undecided: dict[str, float]
    latency_us: tuple[float, float]


def read(path: Path) -> ReportSet:
    """Read results from a file of JSON lines (optionally `.gz`), or from every file below a folder. Other messages are skipped.

    Raises:
        FileNotFoundError: the file does not exist, or holds no results.
    """
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    collected: dict[tuple[str, str, str, str, str], dict[int, _Result]] = {}
    faults: list[str] = []
    for where, line in _lines(files):
        try:
            report = _report(line)
            if report is not None:
                entries = {from_iso(result.at): result for result in report.results}
                if entries:
                    collected.setdefault((report.thing, report.asset, report.model, report.model_version, report.digest), {}).update(
                        entries
                    )
        except (msgspec.MsgspecError, ValueError) as fault:
            faults.append(f"{where}: {fault}; line skipped")
    if not collected:
        raise FileNotFoundError(f"{path} holds no reported results; name a record of messages to IoT Core, such as iot-core.jsonl")
    return ReportSet([_columns(key, collected[key]) for key in sorted(collected)], faults)


def summary(results: ReportedResults) -> Summary:
    """Summarize the operation of one model on one asset."""
    durations_s = results.durations_s()
    total = float(durations_s.sum()) or 1.0
    undecided: Counter[str] = Counter()
    for reason, duration_s in zip(results.reasons, durations_s.tolist(), strict=True):
        if reason:
            undecided["learning" if reason.startswith("learning") else reason] += duration_s / total
    took = results.latency_us.sum(axis=1)
    took = took[np.isfinite(took)]
    return Summary(
        hours=float(durations_s.sum()) / 3600,
        alarms=int((np.diff(results.alarm.astype(int), prepend=0) == 1).sum()),
        in_alarm=float(durations_s[results.alarm].sum()) / total,
        anomalous=float(durations_s[results.verdict].sum()) / total,
        undecided=dict(undecided),
        latency_us=(float(np.median(took)), float(np.quantile(took, 0.99))) if len(took) else (np.nan, np.nan),
    )


def compare_with_labels(results: ReportedResults, recording: Recording) -> tuple[ConfusionMatrix, list[float]]:
    """Compare reported verdicts and alarms with the labels of the recording that the asset ran on.

    Only rows between the first and the last reported result count.

    Returns:
        The confusion matrix of the verdicts, and for each labelled episode the seconds to the reported alarm, infinite for none.

    Raises:
        ValueError: the recording has no labels, or no result falls on its rows.
    """
    if recording.anomaly is None:
        raise ValueError(f"{recording.full_name} has no anomaly labels; use a labelled recording")
    current = results.report_at(recording.times)
    known = (current >= 0) & (recording.times <= results.times[-1])
    if not known.any():
        raise ValueError(f"no reported result falls on {recording.full_name}; use the recording that {results.asset} ran on")
    times, anomaly, current = recording.times[known], recording.anomaly[known], current[known]
    return confusion_matrix(results.verdict[current], anomaly), delays(times, results.alarm[current], anomaly)


def max_confidence_difference(results: ReportedResults, recording: Recording, result: DetectorResult) -> float:
    """Maximum difference between reported and evaluated confidence at their common times; NaN if there are none."""
    _, in_reports, in_recording = np.intersect1d(results.times, recording.times, return_indices=True)
    differences = np.abs(results.confidence[in_reports] - result.confidence[in_recording])
    return float(np.nanmax(differences)) if np.isfinite(differences).any() else float("nan")


def _lines(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}:{number}", line


def _report(line: bytes) -> _Report | None:
    outer = msgspec.json.decode(line, type=_Line)
    if outer.topic and outer.text is None:
        return None
    report = msgspec.json.decode(outer.text if outer.text is not None else line, type=_Report)
    return report if report.type == "report" else None


def _columns(key: tuple[str, str, str, str, str], entries: dict[int, _Result]) -> ReportedResults:
    times = sorted(entries)
    rows = [entries[time] for time in times]
    return ReportedResults(
        *key,
        np.array(times, np.int64),
        np.array([np.nan if row.confidence is None else row.confidence for row in rows], np.float32),
        np.array([row.verdict == "anomalous" for row in rows]),
        np.array([row.alarm in ALARMED for row in rows]),
        tuple(row.reason or "" for row in rows),
        np.array([[np.nan if us is None else us for us in row.latency_us] for row in rows], np.float32),
    )
