"""The source `csv`: replays a recording at true speed, faster, or as fast as possible."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.errors import SourceError
from edgeml.parsing.csv_records import ENCODING, MAX_LINE_BYTES, Line, Lines, cells, delimiter_mark, extra, headings, readable
from edgeml.parsing.readings import BLANKS, DecimalSign, TimeUnit, numbers, times_ns
from edgeml.storage.regular_files import open_plain
from edgeml.timestamps import to_iso
from sensor_ingestion.sources import pump_physics
from sensor_ingestion.sources.base import Channel, Clocks, RowBlock
from sensor_ingestion.sources.csv_layouts import LAYOUTS, Layout
from sensor_ingestion.sources.input_faults import InputFaults
from sensor_ingestion.sources.pacing import LOOK_AHEAD, Pacer

log = logging.getLogger(__name__)

CHUNK_LINES = 1000
"""Lines parsed at a time."""
MAX_LINES_AT_ONCE = 10_000
"""Lines read before the component's other work continues: some 10 ms, or 50 ms if all of them are bad."""
_KNOWN = {channel.name: channel for channel in pump_physics.CHANNELS}


class CsvReplayOptions(msgspec.Struct, frozen=True):
    """Options of the source `csv`."""

    path: Annotated[str, Meta(min_length=1, description="the file, absolute or relative to the component's directory")]
    layout: Annotated[str, Meta(description="a layout in LAYOUTS; empty: use the options below")] = ""
    speed: Annotated[float, Meta(ge=0, le=1_000_000, description="event seconds a second; 1: true speed, 0: as fast as possible")] = 1.0
    delimiter: Annotated[str, Meta(max_length=1, description="between cells; empty: the layout's, or a comma")] = ""
    decimal: Annotated[DecimalSign, Meta(description="the decimal point")] = "."
    time_column: Annotated[str, Meta(description="heading of the column with the event times; empty: the layout's, or `time`")] = ""
    time_unit: Annotated[TimeUnit, Meta(description="ISO 8601 text, or a number since the epoch")] = "iso"
    columns: Annotated[dict[str, str], Meta(description="channel -> heading of its column")] = {}
    units: Annotated[dict[str, str], Meta(description="channel -> unit; the pump skid's channels have theirs")] = {}
    start: Annotated[int, Meta(ge=0, description="rows to skip at the beginning")] = 0
    limit: Annotated[int, Meta(ge=0, description="rows to publish; 0: all")] = 0

    def check(self, where: str) -> list[str]:
        prefix = f"{where}." if where else ""
        if self.layout and self.layout not in LAYOUTS:
            known = ", ".join(LAYOUTS)
            return [f"`{prefix}layout` is {self.layout!r}, an unknown layout; choose one of {known}, or give `columns`"]
        if not self.layout and not self.columns:
            return [f"`{prefix}columns` is empty; name each channel's column, or choose a `layout` ({', '.join(LAYOUTS)})"]
        return []


class ReadRows(NamedTuple):
    """Rows that were read and are not yet due.

    Attributes:
        lines: the line of each row; a row's number in the file, from 0, is its line's number - 2.
    """

    times: np.ndarray
    values: np.ndarray
    lines: list[Line]

    def and_then(self, other: ReadRows, after: int) -> ReadRows:
        """These rows without the first `after`, followed by others."""
        if after >= len(self.lines):
            return other
        times, values = (np.concatenate([mine[after:], theirs]) for mine, theirs in zip(self[:2], other[:2], strict=True))
        return ReadRows(times, values, self.lines[after:] + other.lines)


class CsvReplay:
    """A `Source` that reads a file in chunks of `CHUNK_LINES`, and at most `MAX_LINES_AT_ONCE` in one call.

    Attributes:
        input_faults: faults of the file.

    Raises:
        SourceError: the file or a column of it does not exist.
    """

    actions: Mapping[str, Callable[[], None]] = {}
    own_time = False

    def __init__(self, options: CsvReplayOptions, clocks: Clocks, checkpoint: dict[str, Any] | None = None) -> None:
        known = LAYOUTS.get(options.layout, Layout(",", "time", {}))
        self._delimiter = options.delimiter or known.delimiter
        columns = {**known.columns, **options.columns}
        self.channels = tuple(_channel(name, options.units) for name in columns)
        self.paced = options.speed != 1
        self._options, self._path = options, Path(options.path)
        self.input_faults = InputFaults(str(self._path), clocks.monotonic)
        self._pacer = Pacer(options.speed)
        self._headings = [options.time_column or known.time_column, *columns.values()]
        state = checkpoint or {"record": 0, "rows": 0, "latest": None}
        self._record, self._rows, self._latest = state["record"], state["rows"], state["latest"]
        self._checkpointed: dict[str, int] | None = state.get("place")  # of the last row that was read; see `_fingerprint`
        self._last_line: Line | None = None  # of the last row that was returned
        self._ended = False
        self._read_rows = ReadRows(np.empty(0, np.int64), np.empty((0, len(columns)), "f4"), [])
        self._at = 0  # number of the read rows that were returned
        try:
            self._lines = Lines(open_plain(self._path))
        except OSError as fault:
            raise SourceError(f"{self._path}: {fault.strerror or fault}; correct the path of the recording") from None
        try:
            self._columns = self._find_columns()
            self._skip = self._record or options.start
            if self._checkpointed is not None and self._seek(self._checkpointed):
                self._skip = 0
        except BaseException:
            self._lines.close()
            raise

    @property
    def faults(self) -> Sequence[str]:
        return self.input_faults.sentences

    @property
    def finished(self) -> bool:
        limit = self._options.limit
        return bool(limit and self._rows >= limit) or (self._ended and self._at >= len(self._read_rows.lines))

    def read(self, now: float, limit: int) -> RowBlock | None:
        limit = self._fill(limit)
        n = self._pacer.due(now, self._paced_times(limit))
        at = self._at
        if n <= 0:
            return None
        block = RowBlock(self._read_rows.times[at : at + n], self._read_rows.values[at : at + n])
        self._at, self._rows, self._last_line = at + n, self._rows + n, self._read_rows.lines[at + n - 1]
        self._record = self._last_line.number - 1
        self._latest = int(max(block.times.max(), block.times[0] if self._latest is None else self._latest))
        return block

    def wait(self, now: float, limit: int) -> float:
        limit = self._fill(limit)
        if not limit:
            return 0.0
        times = self._paced_times(limit)
        return self._pacer.wait(now, int(times[0]), int(times.max()))

    def checkpoint(self) -> dict[str, Any]:
        place = self._checkpointed if self._last_line is None else _fingerprint(self._last_line)
        return {"record": self._record, "rows": self._rows, "latest": self._latest, "place": place}

    def close(self) -> None:
        self._lines.close()

    def _paced_times(self, limit: int) -> np.ndarray:
        """The times by which the next `limit` rows are paced."""
        if self._options.speed == 0:
            return self._read_rows.times[self._at : self._at + limit]
        if len(self._read_rows.lines) - self._at < limit + LOOK_AHEAD:
            self._fill(limit + LOOK_AHEAD)
        return self._pacer.steady(self._read_rows.times[self._at : self._at + limit + LOOK_AHEAD])[:limit]

    def _find_columns(self) -> list[int]:
        try:
            line = self._lines.next()
            if line is not None and line.text is None:
                raise ValueError(f"its first line has more than {MAX_LINE_BYTES} bytes")
            header = headings(line.text or "", self._delimiter) if line is not None else []
        except (ValueError, OSError) as fault:
            raise SourceError(f"{self._path}:1: {fault}; this is no CSV file; correct the path") from None
        missing = [heading for heading in self._headings if heading not in header]
        if missing:
            raise SourceError(
                f"{self._path}: no column {' and no column '.join(map(repr, missing))}; there are "
                f"{', '.join(map(repr, header)) or 'none'}; add the column to the file, or correct `columns`, "
                f"`time_column` or `delimiter` (here {self._delimiter!r})"
            )
        self._width = len(header)
        return [header.index(heading) for heading in self._headings]

    def _seek(self, place: dict[str, int]) -> bool:
        """Continue after the last row that was returned, if it is at the place in the checkpoint; otherwise the records are counted."""
        begin = self._lines.offset, self._lines.number
        if begin[0] <= place["start"]:
            try:
                self._lines.seek(place["start"], self._record)
                line = self._lines.next()
            except (OSError, ValueError, OverflowError):  # no such place in any file
                line = None
            if line is not None and _fingerprint(line) == place:
                return True
        log.info("%s has changed since it was last read; its first %d records are counted and skipped", self._path, self._record)
        self._lines.seek(*begin)
        return False

    def _fill(self, limit: int) -> int:
        """Read ahead `limit` rows, or as many as are left or can be read soon; returns how many there are."""
        if self._options.limit:
            limit = min(limit, self._options.limit - self._rows)
        left = MAX_LINES_AT_ONCE
        while len(self._read_rows.lines) - self._at < limit and not self._ended and left > 0:
            n = min(self._skip or CHUNK_LINES, left)
            left -= n
            if self._skip:
                skipped = self._lines.skip(n)
                self._skip, self._ended = self._skip - skipped, skipped < n
            else:
                lines = self._lines.take(n)
                self._ended = len(lines) < n
                self._parse(lines)
        return max(0, min(limit, len(self._read_rows.lines) - self._at))

    def _parse(self, lines: list[Line]) -> None:
        kept, rows = [], []
        mark, width = delimiter_mark(self._delimiter), self._width
        for line in lines:
            # Split a line without quotes directly.
            row = line.text.split(mark) if line.text and '"' not in line.text else None
            if row is None or len(row) != width:
                row = self._cells(line)
            if row is not None:
                kept.append(line)
                rows.append(row)
        if not rows:
            return
        options, first = self._options, self._columns[0]
        times, untimed = times_ns([row[first] for row in rows], options.time_unit, options.decimal)
        for i, reason in untimed.items():
            self._add_fault(
                "time",
                (
                    f"{self._path}:{kept[i].number}, column {self._headings[0]!r}: {readable(rows[i][first][:40])!r} is {reason}; "
                    "the row has no time and is skipped; correct the cell or `time_unit`"
                ),
            )
        if untimed:
            good = [i for i in range(len(rows)) if i not in untimed]
            kept, rows, times = [kept[i] for i in good], [rows[i] for i in good], times[good]
        positions = self._columns[1:]
        values, bad = numbers([row[place] for row in rows for place in positions], options.decimal)
        for i, reason in bad.items():
            at, column = divmod(i, len(positions))
            cell = readable(rows[at][positions[column]][:40])
            self._add_fault(
                "number",
                (
                    f"{self._path}:{kept[at].number}, column {self._headings[1 + column]!r}: {cell!r} is {reason}; the value is published "
                    "as missing; correct the cell"
                ),
            )
        self._check_order(times, kept)
        self._read_rows = self._read_rows.and_then(ReadRows(times, values.reshape(len(rows), len(positions)), kept), self._at)
        self._at = 0

    def _cells(self, line: Line) -> list[str] | None:
        """The cells of a row; None for an empty line and for one that is skipped."""
        if not line.text or not line.text.strip(BLANKS):
            if line.text is None:
                self._add_fault("line", f"{self._path}:{line.number}: more than {MAX_LINE_BYTES} bytes; the line is skipped; correct it")
            return None
        try:
            found = cells(line.text, self._delimiter)
        except ValueError as fault:
            self._add_fault("quote", f"{self._path}:{line.number}: {fault}; the row is skipped; correct the line")
            return None
        if extra(found, self._width):
            self._add_fault(
                "cells",
                (
                    f"{self._path}:{line.number}: {len(found)} cells where there are {self._width} headings; "
                    "the columns are ambiguous, and "
                    "the row is skipped; correct the line, or `delimiter` and `decimal`"
                ),
            )
            return None
        needed = max(self._columns) + 1
        if len(found) < needed:
            self._add_fault("cells", f"{self._path}:{line.number}: {len(found)} cells are too few; the others are published as missing")
            found += [""] * (needed - len(found))
        return found

    def _check_order(self, times: np.ndarray, lines: list[Line]) -> None:
        if not len(times):
            return
        waiting = self._read_rows.times[self._at :]
        before = self._latest if not len(waiting) else max(int(waiting.max()), self._latest or 0)
        start = times[0] - 1 if before is None else before
        latest = np.maximum.accumulate(np.concatenate([[start], times]))[:-1]
        late = times <= latest
        for i in np.flatnonzero(late & ~np.concatenate([[False], late[:-1]])):
            self._add_fault(
                "backwards",
                (
                    f"{self._path}:{lines[i].number}: time runs backwards, from {to_iso(latest[i])} to {to_iso(times[i])}; rows up "
                    "to the former time are published flagged and not scored, unless earlier times last; sort the recording by time"
                ),
            )

    def _add_fault(self, kind: str, sentence: str) -> None:
        self.input_faults.add(kind, sentence)


def _fingerprint(line: Line) -> dict[str, int]:
    """Position and checksum of a line, by which a checkpoint finds it again."""
    return {"start": line.start, "end": line.end, "crc": zlib.crc32((line.text or "").encode(ENCODING))}


def _channel(name: str, units: dict[str, str]) -> Channel:
    # A recording's sensors are not the simulator's: `quality.channels` sets their plausible ranges.
    known = _KNOWN.get(name, Channel(name, ""))._replace(low=float("-inf"), high=float("inf"))
    return known._replace(unit=units.get(name, known.unit))
