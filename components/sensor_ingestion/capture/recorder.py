"""Decides what is captured, and keeps a fault of the capture away from the rows."""

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

LATE_NS = 60 * SECOND
"""By how much event time an alert may come later than its row."""
TRY_AGAIN_S = 10.0


class CaptureWindow:
    """Which rows of one asset are near an alarm; the others wait until they are too old to be. Pure.

    Args:
        before_ns, after_ns: what counts as near.
    """

    def __init__(self, before_ns: int, after_ns: int) -> None:
        self._before, self._after = before_ns, after_ns
        self._waiting: deque[tuple[SensorBatch, Row]] = deque()
        self._spans: list[tuple[int, int]] = []
        self._newest: int | None = None  # of the rows in line

    def add(self, batch: SensorBatch, rows: Iterable[Row]) -> list[tuple[SensorBatch, Row]]:
        """Of all rows of a batch those that are to be kept now; the others wait."""
        sound = batch.plausible_times(batch.arrays()[2])
        near = []
        for number, row in enumerate(rows):
            if sound is None or sound[number]:
                if self._newest is not None and row.time < self._newest:
                    # A clock was set back, or another recording begins: what waits would be too old for ever.
                    self._waiting.clear()
                    self._spans.clear()
                self._newest = row.time
            if any(begin <= row.time <= end for begin, end in self._spans):
                near.append((batch, row))
            else:
                self._waiting.append((batch, row))
        if self._newest is not None:
            newest = self._newest
            while self._waiting and self._waiting[0][1].time < newest - self._before - LATE_NS:
                self._waiting.popleft()
            self._spans = [span for span in self._spans if span[1] >= newest]
        return near

    def alarm(self, at_ns: int) -> list[tuple[SensorBatch, Row]]:
        """An alarm changed at this event time: waiting rows that are near it, oldest first."""
        begin, end = at_ns - self._before, at_ns + self._after
        self._spans.append((begin, end))
        near = [kept for kept in self._waiting if begin <= kept[1].time <= end]
        self._waiting = deque(kept for kept in self._waiting if not begin <= kept[1].time <= end)
        return near


class CaptureRecorder:
    """The capture of all assets.

    Nothing that goes wrong here raises: it is said in one sentence, what is lost is counted, and it is tried again.

    Attributes:
        fault: what is wrong, or empty.
        lost: rows that were not captured, by asset, since the last that were.
    """

    def __init__(self, options: CaptureOptions, work: Path, assets: int, monotonic: Callable[[], float]) -> None:
        self._seldom = RateLimitedLog(log, monotonic)
        self._options, self._monotonic = options, monotonic
        self._folder = Path(options.folder) if options.folder else work / "capture"
        self._limits = Limits.of(options.quota_mb, options.segment_rows, options.segment_s, assets)
        self._store: SegmentStore | None = None
        self._windows: dict[str, CaptureWindow] = {}
        self._done: dict[tuple[str, str], int] = {}  # asset and stream: the last batch that an earlier process captured
        self._again_at = monotonic()
        self.fault = ""
        self.lost: Counter[str] = Counter()
        self._guard(self._opened)

    def take(self, batch: SensorBatch) -> None:
        """A batch that is about to be sent."""
        if self._repeated(batch):
            return
        rows = segment_format.rows(batch)
        if self._options.mode == "alarms":
            self._keep(self._window(batch.asset).add(batch, rows))
        else:
            self._keep([(batch, row) for row in rows])

    def heard(self, alert: Alert) -> None:
        """A change of an alarm."""
        # What was pending and never raised is cleared too, and was no alarm.
        near = alert.state == "active" or (alert.state == "cleared" and alert.raised_at is not None)
        if self._options.mode != "alarms" or not near:
            return
        try:
            at = from_iso(alert.at)
        except ValueError as fault:
            self._seldom.warning("an alert of %s without a time (%s) starts no capture", alert.asset, fault)
            return
        self._keep(self._window(alert.asset).alarm(at))

    def unsent(self) -> list[Path]:
        """Whole segments that are not in IoT Core, the oldest first."""
        return [] if self._store is None else self._store.unsent()

    def sent(self, path: Path) -> None:
        """
        Raises:
            OSError: that it is in IoT Core cannot be noted.
        """
        if self._store is not None:
            self._store.sent(path)

    @property
    def deleted_unsent(self) -> int:
        """Segments that made room before they were sent."""
        return 0 if self._store is None else self._store.deleted_unsent

    def close(self) -> None:
        """What is open becomes whole."""
        if self._store is not None:
            self._guard(self._store.close_all)

    def _keep(self, kept: list[tuple[SensorBatch, Row]]) -> None:
        for _, group in groupby(kept, key=lambda each: (each[0].stream, each[0].seq)):
            together = list(group)
            batch, rows = together[0][0], [row for _, row in together]
            if not self._guard(functools.partial(self._put, batch, rows)):
                self.lost[batch.asset] += len(rows)

    def _put(self, batch: SensorBatch, rows: list[Row]) -> None:
        self._opened().write(batch, rows, self.lost[batch.asset])
        self.fault = ""
        if self.lost[batch.asset]:
            log.info("%s: captured again; %d rows before are missing in the capture", batch.asset, self.lost.pop(batch.asset))

    def _repeated(self, batch: SensorBatch) -> bool:
        """An earlier process has captured it."""
        key = (batch.asset, batch.stream)
        if key not in self._done:
            if self._store is None:
                return False
            self._done[key] = self._store.last_seq(*key)
        return batch.seq <= self._done[key]

    def _opened(self) -> SegmentStore:
        if self._store is None:
            self._store = SegmentStore(self._folder, self._limits)
        return self._store

    def _window(self, asset: str) -> CaptureWindow:
        if asset not in self._windows:
            self._windows[asset] = CaptureWindow(int(self._options.before_s * SECOND), int(self._options.after_s * SECOND))
        return self._windows[asset]

    def _guard(self, work: Callable[[], object]) -> bool:
        """Do it, and say whether it was done; after a fault not before `TRY_AGAIN_S`."""
        if self.fault and self._monotonic() < self._again_at:
            return False
        try:
            work()
            return True
        except Exception as fault:  # the machine's rows matter more than their copy, whatever went wrong with it
            self._again_at = self._monotonic() + TRY_AGAIN_S
            reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else repr(fault)
            sentence = f"capture: {self._folder} cannot be written ({reason}); rows go on without it; make room or change `capture.folder`"
            if sentence != self.fault:
                log.error("%s", sentence, exc_info=not isinstance(fault, OSError))
            self.fault = sentence
            return False
