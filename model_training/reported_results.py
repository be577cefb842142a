"""What deployed models reported to IoT Core, read back to be judged.

AlertDispatcher reports one result in `report.interval_s`, and each change of verdict or alarm state besides (its README, behaviour 20 and
21). So between two reports the last one holds.
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
from model_training.evaluation.bundle_scoring import Judged
from model_training.evaluation.metrics import Count, count, delays
from model_training.evaluation.recordings import Recording

LONGEST_SILENCE_S = 120.0
"""A longer time without a report counts as this much running."""


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
    """A line of gglocal's `iot-core.jsonl`, or of what a rule of IoT Core writes: then it is the message itself."""

    topic: str = ""
    text: str | None = None


@dataclass(frozen=True)
class Reported:
    """n results of one asset by one model, rising in time.

    Attributes:
        digest: SHA-256 of the model file, hex.
        times: (n,) int64, ns.
        confidence: (n,) float32, NaN for no decision.
        verdict: (n,) bool, at or over the policy's `raise_at`; no decision is no.
        alarm: (n,) bool, an alarm is active.
        reasons: (n,) why there is no decision, or empty.
        latency_us: (n, 2) float32, for preparing and for the model; NaN for none.
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

    def held(self, times: np.ndarray) -> np.ndarray:
        """(m,) int, the report that holds at each of `times` (m,) ns; -1 before the first."""
        return np.searchsorted(self.times, times, side="right") - 1

    def seconds(self) -> np.ndarray:
        """(n,) for how long each report holds."""
        return np.append(np.minimum(np.diff(self.times) / SECOND, LONGEST_SILENCE_S), 0.0)


@dataclass(frozen=True)
class Found:
    """What was read.

    Attributes:
        reported: one for each asset and model file, in the order of their names.
        faults: a sentence for each line that cannot be understood.
    """

    reported: list[Reported]
    faults: list[str]


@dataclass(frozen=True)
class Summary:
    """How a deployed model ran; shares are of the time, 0 to 1.

    Attributes:
        hours: that the reports span, by event time.
        alarms: alarms that went active.
        undecided: no decision, by reason.
        latency_us: median and 99th percentile of preparing and model together.
    """

    hours: float
    alarms: int
    in_alarm: float
    anomalous: float
    undecided: dict[str, float]
    latency_us: tuple[float, float]


def read(path: Path) -> Found:
    """Reports from a file of JSON lines (`.gz` or not), or from every file below a folder. Other messages are passed over.

    Raises:
        FileNotFoundError: there is no such file, or no report in it.
    """
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    kept: dict[tuple[str, str, str, str, str], dict[int, _Result]] = {}
    faults: list[str] = []
    for where, line in _lines(files):
        try:
            report = _report(line)
            if report is not None:
                results = {from_iso(result.at): result for result in report.results}
                if results:
                    kept.setdefault((report.thing, report.asset, report.model, report.model_version, report.digest), {}).update(results)
        except (msgspec.MsgspecError, ValueError) as fault:
            faults.append(f"{where}: {fault}; the line is left out")
    if not kept:
        raise FileNotFoundError(f"{path}: no reports in it; give the record of IoT Core's messages, such as iot-core.jsonl")
    return Found([_columns(key, kept[key]) for key in sorted(kept)], faults)


def summary(reported: Reported) -> Summary:
    """How it ran."""
    seconds = reported.seconds()
    whole = float(seconds.sum()) or 1.0
    undecided: Counter[str] = Counter()
    for reason, held in zip(reported.reasons, seconds.tolist(), strict=True):
        if reason:
            undecided["learning" if reason.startswith("learning") else reason] += held / whole
    took = reported.latency_us.sum(axis=1)
    took = took[np.isfinite(took)]
    return Summary(
        hours=float(seconds.sum()) / 3600,
        alarms=int((np.diff(reported.alarm.astype(int), prepend=0) == 1).sum()),
        in_alarm=float(seconds[reported.alarm].sum()) / whole,
        anomalous=float(seconds[reported.verdict].sum()) / whole,
        undecided=dict(undecided),
        latency_us=(float(np.median(took)), float(np.quantile(took, 0.99))) if len(took) else (np.nan, np.nan),
    )


def against_marks(reported: Reported, recording: Recording) -> tuple[Count, list[float]]:
    """Rows by reported verdict and mark, and for each marked episode the seconds to the reported alarm, infinite for none.

    Only rows from the first reported one on count.

    Raises:
        ValueError: the recording has no marks, or none of its rows was reported on.
    """
    if recording.anomaly is None:
        raise ValueError(f"{recording.full_name} has no marks of anomalies; take a recording that has")
    held = reported.held(recording.times)
    known = (held >= 0) & (recording.times <= reported.times[-1])
    if not known.any():
        raise ValueError(f"no row of {recording.full_name} was reported on; take the recording that {reported.asset} ran on")
    times, anomaly, held = recording.times[known], recording.anomaly[known], held[known]
    return count(reported.verdict[held], anomaly), delays(times, reported.alarm[held], anomaly)


def apart(reported: Reported, recording: Recording, judged: Judged) -> float:
    """The largest difference between reported and judged confidence at the times that both have; NaN where there is none."""
    _, mine, theirs = np.intersect1d(reported.times, recording.times, return_indices=True)
    differences = np.abs(reported.confidence[mine] - judged.confidence[theirs])
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


def _columns(key: tuple[str, str, str, str, str], results: dict[int, _Result]) -> Reported:
    times = sorted(results)
    rows = [results[time] for time in times]
    return Reported(
        *key,
        np.array(times, np.int64),
        np.array([np.nan if row.confidence is None else row.confidence for row in rows], np.float32),
        np.array([row.verdict == "anomalous" for row in rows]),
        np.array([row.alarm in ALARMED for row in rows]),
        tuple(row.reason or "" for row in rows),
        np.array([[np.nan if us is None else us for us in row.latency_us] for row in rows], np.float32),
    )
