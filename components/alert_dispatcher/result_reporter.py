"""Results for the reporting topic in IoT Core: downsampled, several in one message, JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alert_dispatcher.model_policies import ModelPolicies
from edgeml.alarms.alarm_policy import CLEARED, Change
from edgeml.cloud.outbox import MAX_ENTRY, RESULTS, Outbox
from edgeml.messages import ResultBlock, ResultColumns, topics
from edgeml.parsing.sanitize import one_line
from edgeml.timestamps import SECOND, to_iso

MAX_WHY_BYTES = 400
NO_DECISION, ANOMALOUS, NORMAL = "no decision", "anomalous", "normal"


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which results go to the reporting topic in IoT Core."""

    enabled: Annotated[bool, Meta(description="whether results are reported at all")] = True
    interval_s: Annotated[
        float, Meta(ge=0, description="s of event time between reported results of an asset and model; 0 reports every one")
    ] = 60.0
    gather_s: Annotated[float, Meta(ge=0, le=60, description="s of the clock for which results are gathered into one message")] = 1.0


class ResultReport(msgspec.Struct, kw_only=True, tag_field="type", tag="report"):
    """One message: results of one asset by one model.

    Attributes:
        digest: SHA-256 of the model file, hex.
        results: see `entry`.
    """

    v: int = 1
    thing: str
    asset: str
    model: str
    model_version: str
    digest: str
    results: list[msgspec.Raw]


def verdict(confidence: float, decided: bool, raise_at: float) -> str:
    """`no decision`; `anomalous` for a confidence from `raise_at` on; else `normal`."""
    if not decided or not math.isfinite(confidence):
        return NO_DECISION
    return ANOMALOUS if round(float(confidence), 6) >= raise_at else NORMAL


def entry(block: ResultBlock, columns: ResultColumns, row: int, result: str, alarm: str) -> dict[str, Any]:
    """One result for people: times in ISO 8601, `latency_us` for the window and for the model, `alarm` its state or null.

    If the model explains the result, `why` is the text.
    """
    why = one_line(block.explanation(row), MAX_WHY_BYTES)
    reason = int(columns.reason[row])
    decided = result != NO_DECISION
    return {
        "at": to_iso(int(columns.times[row])),
        "window_start": to_iso(int(columns.starts[row])),
        "verdict": result,
        "score": _number(columns.score[row]) if decided else None,
        "confidence": _number(columns.confidence[row]) if decided else None,
        "reason": block.reasons[reason - 1] if reason else None,
        "alarm": alarm or None,
        "latency_us": [_number(value) for value in columns.latency_us[row]],
    } | ({"why": why} if why else {})


class ResultReporter:
    """Chooses the results to report, and writes them into the outbox."""

    def __init__(self, options: ReportOptions, thing: str, outbox: Outbox, policies: ModelPolicies) -> None:
        self._options, self._policies = options, policies
        self._writer = BatchWriter(thing, options.gather_s, outbox)
        self._downsamplers: dict[tuple[str, str], Downsampler] = {}

    def add(
        self, block: ResultBlock, columns: ResultColumns, rows: Sequence[int], changes: Sequence[Change], alarm_state: str, now: float
    ) -> None:
        """Report results of a block.

        Args:
            rows: indices of the results that were evaluated.
            changes: changes of the alarm that these results led to.
            alarm_state: of the alarm before them; empty: none.
        """
        if not self._options.enabled:
            return
        downsampler = self._downsamplers.setdefault((block.asset, block.model), Downsampler(self._options.interval_s))
        states = {change.row: "" if change.alarm.state == CLEARED else change.alarm.state for change in changes}
        alarm_state = states.get(-1, alarm_state)
        chosen, raise_at = [], self._policies.of(block.model).raise_at
        for row in rows:
            alarm_state = states.get(row, alarm_state)
            result = verdict(columns.confidence[row], columns.reason[row] == 0, raise_at)
            if downsampler.takes(int(columns.times[row]), result, alarm_state):
                chosen.append((int(columns.times[row]), entry(block, columns, row, result, alarm_state)))
        self._writer.add(block, chosen, now)

    def tick(self, now: float) -> float:
        """Release the messages that are due; returns the seconds until the next is."""
        return self._writer.tick(now)

    def flush(self) -> None:
        """Release all messages."""
        self._writer.flush()


class Downsampler:
    """Chooses results of one asset and model: one in `interval_s` of event time, and each change of the verdict or the alarm's state."""

    def __init__(self, interval_s: float) -> None:
        self._interval_ns = round(interval_s * SECOND)
        self._at_ns: int | None = None
        self._last: tuple[str, str] = ("", "")

    def takes(self, at_ns: int, result: str, alarm: str) -> bool:
        due = self._at_ns is None or abs(at_ns - self._at_ns) >= self._interval_ns or (result, alarm) != self._last
        if due:
            self._at_ns, self._last = at_ns, (result, alarm)
        return due


@dataclass
class _OpenMessage:
    """A message that still takes results.

    Attributes:
        no: its number in the outbox.
        written: how many of `results` are in the outbox.
        times: event times of the results, ns.
    """

    head: dict[str, Any]
    since: float
    bytes_free: int
    no: int | None = None
    written: int = 0
    results: list[msgspec.Raw] = field(default_factory=list)
    times: list[int] = field(default_factory=list)


class BatchWriter:
    """Collects results of the same asset and model in one message of the outbox, at most `MAX_ENTRY` bytes each.

    A result is in the outbox at once, in the transaction that evaluated it. Its message is held for `gather_s`, so that others join it.
    """

    def __init__(self, thing: str, gather_s: float, outbox: Outbox) -> None:
        self._thing, self._gather_s, self._outbox = thing, gather_s, outbox
        self._topic = topics.cloud_results(thing)
        self._open: dict[tuple[str, str], _OpenMessage] = {}

    def add(self, block: ResultBlock, results: Sequence[tuple[int, dict[str, Any]]], now: float) -> None:
        """Add results of one block, each with its event time in ns."""
        key = (block.asset, block.model)
        head: dict[str, Any] = {
            "thing": self._thing,
            "asset": block.asset,
            "model": block.model,
            "model_version": block.model_version,
            "digest": block.digest,
        }
        if key in self._open and self._open[key].head != head:
            self._release(key)
        for at_ns, result in results:
            raw = msgspec.Raw(msgspec.json.encode(result))
            if key in self._open and len(raw) + 1 > self._open[key].bytes_free:
                self._write(self._open[key])
                self._release(key)
            if key not in self._open:
                self._open[key] = _OpenMessage(head, now, MAX_ENTRY - len(msgspec.json.encode(ResultReport(**head, results=[]))))
            message = self._open[key]
            message.results.append(raw)
            message.times.append(at_ns)
            message.bytes_free -= len(raw) + 1
        if results:
            self._write(self._open[key])

    def tick(self, now: float) -> float:
        """Release the messages that were held for long enough; returns the seconds until the next is due, 60 if there is none."""
        for key in [key for key, message in self._open.items() if now - message.since >= self._gather_s]:
            self._release(key)
        return min((max(0.0, message.since + self._gather_s - now) for message in self._open.values()), default=60.0)

    def flush(self) -> None:
        """Release all messages."""
        for key in list(self._open):
            self._release(key)

    def _write(self, message: _OpenMessage) -> None:
        if message.no is not None and not self._outbox.rewrite(message.no, _encode(message)):
            # Thinned out, or rolled back with its transaction: its results stay dropped, or come again by a replay.
            del message.results[: message.written], message.times[: message.written]
            message.no = None
        if message.no is None:
            message.no = self._outbox.put(RESULTS, self._topic, _encode(message), message.times[0], hold=True)
        message.written = len(message.results)

    def _release(self, key: tuple[str, str]) -> None:
        message = self._open.pop(key)
        if message.no is not None:
            self._outbox.release(message.no)


def _encode(message: _OpenMessage) -> bytes:
    return msgspec.json.encode(ResultReport(**message.head, results=message.results))


def _number(value: Any) -> float | None:
    return None if math.isnan(value) or math.isinf(value) else round(float(value), 4)
