"""Decides which rows are captured, and isolates the rows from faults of the capture."""

from __future__ import annotations

import functools
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import Alert, SensorBatch
from edgeml.timestamps import SECOND, from_iso
from sensor_ingestion.capture import segment_format
from sensor_ingestion.capture.segment_format import Row
from sensor_ingestion.capture.segment_store import Limits, SegmentStore
from sensor_ingestion.options import CaptureOptions

log = logging.getLogger(__name__)

MAX_ALERT_DELAY_NS = 60 * SECOND
"""Event time by which an alert may be later than its row."""
RETRY_S = 10.0


class CaptureWindow:
    """Selects the rows of one asset near alarms; other rows wait until they are too old. Pure.

    Args:
        before_ns, after_ns: the span around an alarm.
    """

    def __init__(self, before_ns: int, after_ns: int) -> None:
        self._before, self._after = before_ns, after_ns
        self._waiting: deque[tuple[SensorBatch, Row]] = deque()
        self._spans: list[tuple[int, int]] = []
        self._newest: int | None = None  # of the rows in order

    def add(self, batch: SensorBatch, rows: Iterable[Row]) -> list[tuple[SensorBatch, Row]]:
        """Add all rows of a batch; returns those to keep now, the others wait."""
        sound = batch.plausible_times(batch.arrays()[2])
        near = []
        for number, row in enumerate(rows):
            if sound is None or sound[number]:
                if self._newest is not None and row.time < self._newest:
                    # A clock was set back, or another recording begins: waiting rows would never become too old.
                    self._waiting.clear()
                    self._spans.clear()
                self._newest = row.time
            if any(begin <= row.time <= end for begin, end in self._spans):
                near.append((batch, row))
            else:
                self._waiting.append((batch, row))
        if self._newest is not None:
            newest = self._newest
            while self._waiting and self._waiting[0][1].time < newest - self._before - MAX_ALERT_DELAY_NS:
                self._waiting.popleft()
            self._spans = [span for span in self._spans if span[1] >= newest]
        return near

    def alarm(self, at_ns: int) -> list[tuple[SensorBatch, Row]]:
        """Note a change of an alarm at this event time; returns the waiting rows near it, oldest first."""
        begin, end = at_ns - self._before, at_ns + self._after
        self._spans.append((begin, end))
        near = [kept for kept in self._waiting if begin <= kept[1].time <= end]
        self._waiting = deque(kept for kept in self._waiting if not begin <= kept[1].time <= end)
        return near


class CaptureRecorder:
    """The capture of all assets.

    No fault here raises: it is reported in one sentence, lost rows are counted, and it is retried.

    Attributes:
        fault: a sentence, or empty.
        lost: rows that were not captured since the last capture, by asset.
    """

    def __init__(self, options: CaptureOptions, work: Path, assets: int, monotonic: Callable[[], float]) -> None:
        self._throttled_log = RateLimitedLog(log, monotonic)
        self._options, self._monotonic = options, monotonic
        self._folder = Path(options.folder) if options.folder else work / "capture"
        self._limits = Limits.of(options.quota_mb, options.segment_rows, options.segment_s, assets)
        self._store: SegmentStore | None = None
        self._windows: dict[str, CaptureWindow] = {}
        self._captured_before: dict[tuple[str, str], int] = {}  # asset and stream -> the last batch that an earlier process captured
        self._retry_at = monotonic()
        self.fault = ""
        self.lost: Counter[str] = Counter()
        self._guard(self._opened)

    def take(self, batch: SensorBatch) -> None:
        """Take a batch that is about to be sent."""
        if self._repeated(batch):
            return
        rows = segment_format.rows(batch)
        if self._options.mode == "alarms":
            self._write(self._window(batch.asset).add(batch, rows))
        else:
            self._write([(batch, row) for row in rows])

    def take_alert(self, alert: Alert) -> None:
        """Take a change of an alarm."""
        # An alert that was pending and never raised is cleared, too, and was no alarm.
        near = alert.state == "active" or (alert.state == "cleared" and alert.raised_at is not None)
        if self._options.mode != "alarms" or not near:
            return
        try:
            at = from_iso(alert.at)
        except ValueError as fault:
            self._throttled_log.warning("alert of %s starts no capture: it has no valid time (%s)", alert.asset, fault)
            return
        self._write(self._window(alert.asset).alarm(at))

    def unsent(self) -> list[Path]:
        """Complete segments that are not in IoT Core, the oldest first."""
        return [] if self._store is None else self._store.unsent()

    def sent(self, path: Path) -> None:
        """
        Raises:
            OSError: the segment cannot be marked as sent.
        """
        if self._store is not None:
            self._store.sent(path)

    @property
    def deleted_unsent(self) -> int:
        """Segments that the quota deleted before they were sent."""
        return 0 if self._store is None else self._store.deleted_unsent

    def close(self) -> None:
        """Complete the open segments."""
        if self._store is not None:
            self._guard(self._store.close_all)

    def _write(self, kept: list[tuple[SensorBatch, Row]]) -> None:
        for _, group in groupby(kept, key=lambda each: (each[0].stream, each[0].seq)):
            together = list(group)
            batch, rows = together[0][0], [row for _, row in together]
            if not self._guard(functools.partial(self._put, batch, rows)):
                self.lost[batch.asset] += len(rows)

    def _put(self, batch: SensorBatch, rows: list[Row]) -> None:
        self._opened().write(batch, rows, self.lost[batch.asset])
        self.fault = ""
        if self.lost[batch.asset]:
            log.info("%s: the capture works again; %d rows before are missing in it", batch.asset, self.lost.pop(batch.asset))

    def _repeated(self, batch: SensorBatch) -> bool:
        """Whether an earlier process has captured the batch."""
        key = (batch.asset, batch.stream)
        if key not in self._captured_before:
            if self._store is None:
                return False
            self._captured_before[key] = self._store.last_seq(*key)
        return batch.seq <= self._captured_before[key]

    def _opened(self) -> SegmentStore:
        if self._store is None:
            self._store = SegmentStore(self._folder, self._limits)
        return self._store

    def _window(self, asset: str) -> CaptureWindow:
        if asset not in self._windows:
            self._windows[asset] = CaptureWindow(int(self._options.before_s * SECOND), int(self._options.after_s * SECOND))
        return self._windows[asset]

    def _guard(self, work: Callable[[], object]) -> bool:
        """Run `work`; returns whether it succeeded. After a fault it is skipped for `RETRY_S`."""
        if self.fault and self._monotonic() < self._retry_at:
            return False
        try:
            work()
            return True
        except Exception as fault:  # the rows matter more than their copy
            self._retry_at = self._monotonic() + RETRY_S
            reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else repr(fault)
            sentence = (
                f"capture: {self._folder} cannot be written ({reason}); rows are published without it; free some "
                "space or change `capture.folder`"
            )
            if sentence != self.fault:
                log.error("%s", sentence, exc_info=not isinstance(fault, OSError))
            self.fault = sentence
            return False
