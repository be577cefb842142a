"""The source `csv`: a recording, at true speed, faster, or as fast as it goes."""

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
from edgeml.parsing.csv_records import ENCODING, LONGEST, Line, Lines, cells, delimiter_mark, extra, headings, readable
from edgeml.parsing.readings import BLANKS, DecimalSign, TimeUnit, numbers, times_ns
from edgeml.storage.regular_files import open_plain
from edgeml.timestamps import to_iso
from sensor_ingestion.sources import pump_physics
from sensor_ingestion.sources.base import Channel, Clocks, RowBlock
from sensor_ingestion.sources.csv_layouts import LAYOUTS, Layout
from sensor_ingestion.sources.input_faults import InputFaults
from sensor_ingestion.sources.pacing import LOOK_AHEAD, Pacer

log = logging.getLogger(__name__)

CHUNK = 1000
"""Lines parsed at a time."""
SLICE = 10_000
"""Lines looked at, at most, before the component's other work goes on: some 10 ms, or 50 ms where all of them are bad."""
_KNOWN = {channel.name: channel for channel in pump_physics.CHANNELS}


class CsvReplayOptions(msgspec.Struct, frozen=True):
    """Options of the source `csv`."""

    path: Annotated[str, Meta(min_length=1, description="the file, absolute or relative to the component's directory")]
    layout: Annotated[str, Meta(description="a kind of recording in LAYOUTS; empty: by the options below")] = ""
    speed: Annotated[float, Meta(ge=0, le=1_000_000, description="event seconds a second; 1: true speed, 0: as fast as it goes")] = 1.0
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


class Waiting(NamedTuple):
    """Rows that are read and not yet due.

    Attributes:
        lines: where each of them stands; a row's number in the file, from 0, is its line's number - 2.
    """

    times: np.ndarray
    values: np.ndarray
    lines: list[Line]

    def and_then(self, other: Waiting, after: int) -> Waiting:
        """These rows without the first `after`, and others behind them."""
        if after >= len(self.lines):
            return other
        times, values = (np.concatenate([mine[after:], theirs]) for mine, theirs in zip(self[:2], other[:2], strict=True))
        return Waiting(times, values, self.lines[after:] + other.lines)


class CsvReplay:
    """A `Source` that reads a file in chunks of `CHUNK` lines, and looks at `SLICE` lines at most before it lets others go on.

    Attributes:
        notes: what is wrong with the file.

    Raises:
        SourceError: the file or a column of it is not there.
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
        self.notes = InputFaults(str(self._path), clocks.monotonic)
        self._pace = Pacer(options.speed)
        self._headings = [options.time_column or known.time_column, *columns.values()]
        state = checkpoint or {"record": 0, "rows": 0, "latest": None}
        self._record, self._rows, self._latest = state["record"], state["rows"], state["latest"]
        self._place: dict[str, int] | None = state.get("place")  # of the last row that was given; see `_mark`
        self._given: Line | None = None  # that row, once there is one
        self._ended = False
        self._waiting = Waiting(np.empty(0, np.int64), np.empty((0, len(columns)), "f4"), [])
        self._at = 0  # so many of the waiting rows were given
        try:
            self._lines = Lines(open_plain(self._path))
        except OSError as fault:
            raise SourceError(f"{self._path}: {fault.strerror or fault}; correct the path of the recording") from None
        try:
            self._places = self._find()
            self._skip = self._record or options.start
            if self._place is not None and self._go_to(self._place):
                self._skip = 0
        except BaseException:
            self._lines.close()
            raise

    @property
    def faults(self) -> Sequence[str]:
        return self.notes.sentences

    @property
    def finished(self) -> bool:
        limit = self._options.limit
        return bool(limit and self._rows >= limit) or (self._ended and self._at >= len(self._waiting.lines))

    def read(self, now: float, most: int) -> RowBlock | None:
        most = self._fill(most)
        n = self._pace.due(now, self._awaited(most))
        at = self._at
        if n <= 0:
            return None
        block = RowBlock(self._waiting.times[at : at + n], self._waiting.values[at : at + n])
        self._at, self._rows, self._given = at + n, self._rows + n, self._waiting.lines[at + n - 1]
        self._record = self._given.number - 1
        self._latest = int(max(block.times.max(), block.times[0] if self._latest is None else self._latest))
        return block

    def wait(self, now: float, most: int) -> float:
        most = self._fill(most)
        if not most:
            return 0.0
        times = self._awaited(most)
        return self._pace.wait(now, int(times[0]), int(times.max()))

    def checkpoint(self) -> dict[str, Any]:
        place = self._place if self._given is None else _mark(self._given)
        return {"record": self._record, "rows": self._rows, "latest": self._latest, "place": place}

    def close(self) -> None:
        self._lines.close()

    def _awaited(self, most: int) -> np.ndarray:
        """The times that the next `most` rows wait for."""
        if self._options.speed == 0:
            return self._waiting.times[self._at : self._at + most]
        if len(self._waiting.lines) - self._at < most + LOOK_AHEAD:
            self._fill(most + LOOK_AHEAD)
        return self._pace.steady(self._waiting.times[self._at : self._at + most + LOOK_AHEAD])[:most]

    def _find(self) -> list[int]:
        try:
            line = self._lines.next()
            if line is not None and line.text is None:
                raise ValueError(f"its first line has more than {LONGEST} bytes")
            header = headings(line.text or "", self._delimiter) if line is not None else []
        except (ValueError, OSError) as fault:
            raise SourceError(f"{self._path}:1: {fault}; this is no CSV file, correct the path") from None
        missing = [heading for heading in self._headings if heading not in header]
        if missing:
            raise SourceError(
                f"{self._path}: no column {' and no column '.join(map(repr, missing))}; there are "
                f"{', '.join(map(repr, header)) or 'none'}; add the column to the file, or correct `columns`, "
                f"`time_column` or `delimiter` (here {self._delimiter!r})"
            )
        self._width = len(header)
        return [header.index(heading) for heading in self._headings]

    def _go_to(self, place: dict[str, int]) -> bool:
        """Go on behind the row that was given last, if it is where the checkpoint says; otherwise the records are counted again."""
        begin = self._lines.offset, self._lines.number
        if begin[0] <= place["start"]:
            try:
                self._lines.seek(place["start"], self._record)
                line = self._lines.next()
            except (OSError, ValueError, OverflowError):  # no file has such a place
                line = None
            if line is not None and _mark(line) == place:
                return True
        log.info("%s has changed since it was read last; its first %d records are skipped by counting", self._path, self._record)
        self._lines.seek(*begin)
        return False

    def _fill(self, most: int) -> int:
        """Have `most` rows waiting, or as many as are left to publish or can be had soon; returns how many."""
        if self._options.limit:
            most = min(most, self._options.limit - self._rows)
        left = SLICE
        while len(self._waiting.lines) - self._at < most and not self._ended and left > 0:
            n = min(self._skip or CHUNK, left)
            left -= n
            if self._skip:
                skipped = self._lines.skip(n)
                self._skip, self._ended = self._skip - skipped, skipped < n
            else:
                lines = self._lines.take(n)
                self._ended = len(lines) < n
                self._parse(lines)
        return max(0, min(most, len(self._waiting.lines) - self._at))

    def _parse(self, lines: list[Line]) -> None:
        kept, rows = [], []
        mark, width = delimiter_mark(self._delimiter), self._width
        for line in lines:
            # A plain line is split at once.
            row = line.text.split(mark) if line.text and '"' not in line.text else None
            if row is None or len(row) != width:
                row = self._cells(line)
            if row is not None:
                kept.append(line)
                rows.append(row)
        if not rows:
            return
        options, first = self._options, self._places[0]
        times, untimed = times_ns([row[first] for row in rows], options.time_unit, options.decimal)
        for i, reason in untimed.items():
            self._note(
                "time",
                (
                    f"{self._path}:{kept[i].number}, column {self._headings[0]!r}: {readable(rows[i][first][:40])!r} is {reason}; "
                    "the row has no time and is left out; correct the cell or `time_unit`"
                ),
            )
        if untimed:
            good = [i for i in range(len(rows)) if i not in untimed]
            kept, rows, times = [kept[i] for i in good], [rows[i] for i in good], times[good]
        wanted = self._places[1:]
        values, bad = numbers([row[place] for row in rows for place in wanted], options.decimal)
        for i, reason in bad.items():
            at, column = divmod(i, len(wanted))
            cell = readable(rows[at][wanted[column]][:40])
            self._note(
                "number",
                (
                    f"{self._path}:{kept[at].number}, column {self._headings[1 + column]!r}: {cell!r} is {reason}; the value is published "
                    "as missing; correct the cell"
                ),
            )
        self._note_backwards(times, kept)
        self._waiting = self._waiting.and_then(Waiting(times, values.reshape(len(rows), len(wanted)), kept), self._at)
        self._at = 0

    def _cells(self, line: Line) -> list[str] | None:
        """The cells of a row; None for an empty line and for one that is left out."""
        if not line.text or not line.text.strip(BLANKS):
            if line.text is None:
                self._note("line", f"{self._path}:{line.number}: more than {LONGEST} bytes; the line is left out; correct it")
            return None
        try:
            found = cells(line.text, self._delimiter)
        except ValueError as fault:
            self._note("quote", f"{self._path}:{line.number}: {fault}; the row is left out; correct the line")
            return None
        if extra(found, self._width):
            self._note(
                "cells",
                (
                    f"{self._path}:{line.number}: {len(found)} cells where there are {self._width} headings; nobody knows which is which, and "
                    "the row is left out; correct the line, or `delimiter` and `decimal`"
                ),
            )
            return None
        needed = max(self._places) + 1
        if len(found) < needed:
            self._note("cells", f"{self._path}:{line.number}: {len(found)} cells are too few; the others are published as missing")
            found += [""] * (needed - len(found))
        return found

    def _note_backwards(self, times: np.ndarray, lines: list[Line]) -> None:
        if not len(times):
            return
        waiting = self._waiting.times[self._at :]
        before = self._latest if not len(waiting) else max(int(waiting.max()), self._latest or 0)
        start = times[0] - 1 if before is None else before
        latest = np.maximum.accumulate(np.concatenate([[start], times]))[:-1]
        late = times <= latest
        for i in np.flatnonzero(late & ~np.concatenate([[False], late[:-1]])):
            self._note(
                "backwards",
                (
                    f"{self._path}:{lines[i].number}: time runs backwards, from {to_iso(latest[i])} to {to_iso(times[i])}; rows up "
                    "to the former are published flagged and not judged, unless earlier times last; sort the recording by time"
                ),
            )

    def _note(self, kind: str, sentence: str) -> None:
        self.notes.add(kind, sentence)


def _mark(line: Line) -> dict[str, int]:
    """What tells whether a line is still where it was."""
    return {"start": line.start, "end": line.end, "crc": zlib.crc32((line.text or "").encode(ENCODING))}


def _channel(name: str, units: dict[str, str]) -> Channel:
    # A recording's sensors are not the simulator's: what range is plausible for them is for `quality.channels` to say.
    known = _KNOWN.get(name, Channel(name, ""))._replace(low=float("-inf"), high=float("inf"))
    return known._replace(unit=units.get(name, known.unit))
