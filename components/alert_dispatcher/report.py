"""Results for the reporting topic in IoT Core: thinned, several in a message, JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edgeml.messages import MAX_PAYLOAD, ResultBlock, ResultColumns
from edgeml.times import SECOND, to_iso

NO_DECISION, ANOMALOUS, NORMAL = "no decision", "anomalous", "normal"


class Report(msgspec.Struct, kw_only=True, tag_field="type", tag="report"):
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
    if not decided or math.isnan(confidence):
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


class Thinner:
    """Picks results of one asset and model: one in `every_s` of event time, and each change of verdict or alarm state."""

    def __init__(self, every_s: float) -> None:
        self._every = round(every_s * SECOND)
        self._at: int | None = None
        self._last: tuple[str, str] = ("", "")

    def wants(self, at: int, said: str, alarm: str) -> bool:
        due = self._at is None or abs(at - self._at) >= self._every or (said, alarm) != self._last
        if due:
            self._at, self._last = at, (said, alarm)
        return due


@dataclass
class _Gathered:
    head: dict[str, Any]
    since: float
    bytes_free: int
    results: list[msgspec.Raw] = field(default_factory=list)


class Gatherer:
    """Puts results of the same asset and model into one message, each at most `MAX_PAYLOAD` bytes."""

    def __init__(self, thing: str, gather_s: float) -> None:
        self._thing, self._gather_s = thing, gather_s
        self._open: dict[tuple[str, str], _Gathered] = {}

    def add(self, block: ResultBlock, result: dict[str, Any], now: float) -> list[bytes]:
        """Take one result; returns the messages that are full by it."""
        key = (block.asset, block.model)
        head: dict[str, Any] = {
            "thing": self._thing, "asset": block.asset, "model": block.model,
            "model_version": block.model_version, "digest": block.digest,
        }
        raw = msgspec.Raw(msgspec.json.encode(result))
        full = []
        gathered = self._open.get(key)
        if gathered is not None and (gathered.head != head or len(raw) + 1 > gathered.bytes_free):
            full.append(_encode(self._open.pop(key)))
            gathered = None
        if gathered is None:
            empty = len(msgspec.json.encode(Report(**head, results=[])))
            gathered = self._open[key] = _Gathered(head, now, MAX_PAYLOAD - empty)
        gathered.results.append(raw)
        gathered.bytes_free -= len(raw) + 1
        return full

    def tick(self, now: float) -> list[bytes]:
        """The messages that have been gathered for long enough."""
        due = [key for key, gathered in self._open.items() if now - gathered.since >= self._gather_s]
        return [_encode(self._open.pop(key)) for key in due]

    def next_due(self, now: float) -> float:
        """Seconds until `tick` has something, 60 if nothing is gathered."""
        return min((max(0.0, g.since + self._gather_s - now) for g in self._open.values()), default=60.0)

    def flush(self) -> list[bytes]:
        """All that is gathered."""
        messages = [_encode(gathered) for gathered in self._open.values()]
        self._open.clear()
        return messages


def _encode(gathered: _Gathered) -> bytes:
    return msgspec.json.encode(Report(**gathered.head, results=gathered.results))


def _number(value: Any) -> float | None:
    return None if math.isnan(value) or math.isinf(value) else round(float(value), 4)
