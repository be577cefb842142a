"""Records a run for the plots: the rows and results of each asset, and the event log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from edgeml.messages import ResultBlock, SensorBatch

DAY_S = 86_400.0


class Event(NamedTuple):
    """One entry of the event log.

    Attributes:
        at: event time in ns; None before the first row.
        kind: `info`, `good`, `warn`, `alarm`, `command` or `fault`; determines the colour.
    """

    at: int | None
    kind: str
    text: str


class Readings(NamedTuple):
    """Rows in order of time: times (n,) in ns, values (n, c), bad (n, c): flagged by a quality check."""

    times: np.ndarray
    values: np.ndarray
    bad: np.ndarray


class Results(NamedTuple):
    """Results in order of time: times (n,) in ns, confidence (n,), NaN without a decision, reason (n,), latency_us (n, 2)."""

    times: np.ndarray
    confidence: np.ndarray
    reason: list[str]
    latency_us: np.ndarray


@dataclass
class AssetHistory:
    """The rows and results of one asset.

    Attributes:
        channels, units: of the latest batch.
        model: name, version and digest of the model; empty before its first result.
    """

    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    model: tuple[str, str, str] = ("", "", "")
    last_time: int | None = None
    last_values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    last_confidence: float | None = None
    last_reason: str = ""
    _rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    _results: list[tuple[np.ndarray, np.ndarray, list[str], np.ndarray]] = field(default_factory=list)

    def add_rows(self, batch: SensorBatch, new: list[int]) -> None:
        """Add the rows of a batch whose indices are in `new`."""
        if not new or (self.channels and batch.channels != self.channels):
            return
        self.channels, self.units = batch.channels, batch.units
        times, values, quality = (column[new] for column in batch.arrays())
        self._rows.append((times, values, quality > 0))
        self.last_time, self.last_values = int(times[-1]), values[-1]

    def add_results(self, block: ResultBlock, new: list[int]) -> None:
        """Add the results of a block whose indices are in `new`."""
        if not new:
            return
        columns = block.arrays()
        reasons = [block.reasons[code - 1] if code else "" for code in columns.reason[new].tolist()]
        confidence = np.where(columns.reason[new] > 0, np.nan, columns.confidence[new])
        self.model = (block.model, block.model_version, block.digest)
        self._results.append((columns.times[new], confidence, reasons, columns.latency_us[new]))
        self.last_reason = reasons[-1]
        self.last_confidence = None if reasons[-1] else float(confidence[-1])

    def readings(self) -> Readings:
        if not self._rows:
            c = len(self.channels)
            return Readings(np.zeros(0, np.int64), np.zeros((0, c)), np.zeros((0, c), bool))
        times, values, bad = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        order = np.argsort(times, kind="stable")
        return Readings(times[order], values[order], bad[order])

    def results(self) -> Results:
        if not self._results:
            return Results(np.zeros(0, np.int64), np.zeros(0), [], np.zeros((0, 2)))
        times, confidence, took = (np.concatenate([part[i] for part in self._results]) for i in (0, 1, 3))
        reasons = [reason for part in self._results for reason in part[2]]
        order = np.argsort(times, kind="stable")
        return Results(times[order], confidence[order], [reasons[i] for i in order], took[order])


@dataclass
class Recorder:
    """The assets and the event log of one run.

    Attributes:
        span_s: seconds of event time that the run covers.
    """

    assets: dict[str, AssetHistory] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    span_s: float = 0.0

    @property
    def dated(self) -> bool:
        """Whether times are shown with their day."""
        return self.span_s > DAY_S

    def asset(self, name: str) -> AssetHistory:
        return self.assets.setdefault(name, AssetHistory())
