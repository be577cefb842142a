"""Results for the reporting topic in IoT Core: thinned, several in a message, JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edgeml.cloud.outbox import MAX_ENTRY, RESULTS, Outbox
from edgeml.messages import ResultBlock, ResultColumns, topics
from edgeml.timestamps import SECOND, to_iso

NO_DECISION, ANOMALOUS, NORMAL = "no decision", "anomalous", "normal"


class ResultReporter(msgspec.Struct, kw_only=True, tag_field="type", tag="report"):
    """What is sent: results of one asset by one model.

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
    """`no decision`, or `anomalous` for a confidence at or over the level that speaks for an alarm, else `normal`."""
    if not decided or not math.isfinite(confidence):
        return NO_DECISION
    return ANOMALOUS if round(float(confidence), 6) >= raise_at else NORMAL


def entry(block: ResultBlock, columns: ResultColumns, row: int, said: str, alarm: str) -> dict[str, Any]:
    """One result as people read it: times ISO 8601, `took_us` for preparing and for the model, `alarm` its state or null."""
    reason = int(columns.reason[row])
    decided = said != NO_DECISION
    return {
        "at": to_iso(int(columns.times[row])),
        "window_start": to_iso(int(columns.starts[row])),
        "verdict": said,
        "score": _number(columns.score[row]) if decided else None,
        "confidence": _number(columns.confidence[row]) if decided else None,
        "reason": block.reasons[reason - 1] if reason else None,
        "alarm": alarm or None,
        "took_us": [_number(value) for value in columns.took_us[row]],
    }


class Downsampler:
    """Picks results of one asset and model: one in `interval_s` of event time, and each change of verdict or alarm state."""

    def __init__(self, interval_s: float) -> None:
        self._every = round(interval_s * SECOND)
        self._at: int | None = None
        self._last: tuple[str, str] = ("", "")

    def wants(self, at: int, said: str, alarm: str) -> bool:
        due = self._at is None or abs(at - self._at) >= self._every or (said, alarm) != self._last
        if due:
            self._at, self._last = at, (said, alarm)
        return due


@dataclass
class _Gathered:
    """`no` is its entry in the outbox, in which are the first `written` of `results`; `times` are theirs."""

    head: dict[str, Any]
    since: float
    bytes_free: int
    no: int | None = None
    written: int = 0
    results: list[msgspec.Raw] = field(default_factory=list)
    times: list[int] = field(default_factory=list)


class BatchWriter:
    """Puts results of the same asset and model into one message of the outbox, at most `MAX_ENTRY` bytes each.

    A result is in the outbox at once, in the transaction that judged it. Its message is held back for `gather_s`, and others join it.
    """

    def __init__(self, thing: str, gather_s: float, outbox: Outbox) -> None:
        self._thing, self._gather_s, self._outbox = thing, gather_s, outbox
        self._topic = topics.cloud_results(thing)
        self._open: dict[tuple[str, str], _Gathered] = {}

    def add(self, block: ResultBlock, results: Sequence[tuple[int, dict[str, Any]]], now: float) -> None:
        """Take results of one block, each with its event time in ns."""
        key = (block.asset, block.model)
        head: dict[str, Any] = {
            "thing": self._thing,
            "asset": block.asset,
            "model": block.model,
            "model_version": block.model_version,
            "digest": block.digest,
        }
        if key in self._open and self._open[key].head != head:
            self._close(key)
        for at, result in results:
            raw = msgspec.Raw(msgspec.json.encode(result))
            if key in self._open and len(raw) + 1 > self._open[key].bytes_free:
                self._write(self._open[key])
                self._close(key)
            if key not in self._open:
                self._open[key] = _Gathered(head, now, MAX_ENTRY - len(msgspec.json.encode(ResultReporter(**head, results=[]))))
            gathered = self._open[key]
            gathered.results.append(raw)
            gathered.times.append(at)
            gathered.bytes_free -= len(raw) + 1
        if results:
            self._write(self._open[key])

    def tick(self, now: float) -> float:
        """Let go of what has been gathered for long enough; returns in how many seconds there is more, 60 if nothing is gathered."""
        for key in [key for key, gathered in self._open.items() if now - gathered.since >= self._gather_s]:
            self._close(key)
        return min((max(0.0, g.since + self._gather_s - now) for g in self._open.values()), default=60.0)

    def flush(self) -> None:
        """Let go of all that is gathered."""
        for key in list(self._open):
            self._close(key)

    def _write(self, gathered: _Gathered) -> None:
        if gathered.no is not None and not self._outbox.rewrite(gathered.no, _encode(gathered)):
            # Thinned out, or undone with its transaction: what was in it stays gone, or comes again by a replay.
            del gathered.results[: gathered.written], gathered.times[: gathered.written]
            gathered.no = None
        if gathered.no is None:
            gathered.no = self._outbox.put(RESULTS, self._topic, _encode(gathered), gathered.times[0], hold=True)
        gathered.written = len(gathered.results)

    def _close(self, key: tuple[str, str]) -> None:
        gathered = self._open.pop(key)
        if gathered.no is not None:
            self._outbox.release(gathered.no)


def _encode(gathered: _Gathered) -> bytes:
    return msgspec.json.encode(ResultReporter(**gathered.head, results=gathered.results))


def _number(value: Any) -> float | None:
    return None if math.isnan(value) or math.isinf(value) else round(float(value), 4)
