"""The source `csv`: a recording, at true speed, faster, or as fast as it goes."""

from __future__ import annotations

import csv
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.errors import SourceError
from edgeml.times import from_iso, to_iso
from sensor_ingestion.sources import pump
from sensor_ingestion.sources.block import MAX_FAULTS, Block, Channel, Clocks
from sensor_ingestion.sources.layouts import LAYOUTS, Layout
from sensor_ingestion.sources.pace import Pace

log = logging.getLogger(__name__)

CHUNK = 1000
"""Records parsed at a time."""
UNITS_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
EMPTY = ("", "nan", "null", "none", "na", "n/a")
_KNOWN = {channel.name: channel for channel in pump.CHANNELS}


class RecordingOptions(msgspec.Struct, frozen=True):
    """Options of the source `csv`."""

    path: Annotated[str, Meta(min_length=1, description="the file, absolute or relative to the component's directory")]
    layout: Annotated[str, Meta(description="a kind of recording in LAYOUTS; empty: by the options below")] = ""
    speed: Annotated[
        float, Meta(ge=0, le=1_000_000, description="event seconds a second; 1: true speed, 0: as fast as it goes")
    ] = 1.0
    delimiter: Annotated[str, Meta(max_length=1, description="between cells; empty: the layout's, or a comma")] = ""
    decimal: Annotated[Literal[".", ","], Meta(description="the decimal point")] = "."
    time_column: Annotated[
        str, Meta(description="heading of the column with the event times; empty: the layout's, or `time`")
    ] = ""
    time_unit: Annotated[
        Literal["iso", "s", "ms", "us", "ns"], Meta(description="ISO 8601 text, or a number since the epoch")
    ] = "iso"
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


class Recording:
    """A `Source` that reads a file in chunks of `CHUNK` records.

    Raises:
        SourceError: the file or a column of it is not there.
    """

    actions: Mapping[str, Callable[[], None]] = {}

    def __init__(self, options: RecordingOptions, clocks: Clocks, checkpoint: dict[str, Any] | None = None) -> None:
        known = LAYOUTS.get(options.layout, Layout(",", "time", {}))
        delimiter = options.delimiter or known.delimiter
        columns = {**known.columns, **options.columns}
        self.channels = tuple(_channel(name, options.units) for name in columns)
        self.paced = options.speed != 1
        self.faults: list[str] = []
        self._options, self._path = options, Path(options.path)
        self._pace = Pace(options.speed)
        self._headings = [options.time_column or known.time_column, *columns.values()]
        state = checkpoint or {"record": 0, "rows": 0, "latest": None}
        self._record, self._rows, self._latest = state["record"], state["rows"], state["latest"]
        self._ended = False
        self._next = 0  # number of the record that is read next
        self._times, self._values = np.empty(0, np.int64), np.empty((0, len(columns)), "f4")
        self._numbers = np.empty(0, np.int64)  # of the records that the waiting rows come from
        try:
            self._file = self._path.open(newline="", encoding="utf-8-sig", errors="replace")
        except OSError as fault:
            raise SourceError(f"{self._path}: {fault.strerror or fault}; correct the path of the recording") from None
        self._reader = csv.reader(self._file, delimiter=delimiter)
        try:
            self._places = self._find(delimiter)
        except SourceError:
            self._file.close()
            raise
        skip = self._record or options.start
        self._next = sum(1 for _ in itertools.islice(self._cells(), skip))

    @property
    def finished(self) -> bool:
        limit = self._options.limit
        return bool(limit and self._rows >= limit) or (self._ended and not len(self._times))

    def read(self, now: float, most: int) -> Block | None:
        most = self._fill(most)
        n = self._pace.due(now, self._times[:most])
        if n <= 0:
            return None
        block = Block(self._times[:n], self._values[:n])
        self._record, self._rows = int(self._numbers[n - 1]) + 1, self._rows + n
        self._times, self._values, self._numbers = self._times[n:], self._values[n:], self._numbers[n:]
        self._latest = int(max(block.times.max(), block.times[0] if self._latest is None else self._latest))
        return block

    def wait(self, now: float, most: int) -> float:
        most = self._fill(most)
        if not most:
            return 0.0
        return self._pace.wait(now, int(self._times[0]), int(self._times[:most].max()))

    def checkpoint(self) -> dict[str, Any]:
        return {"record": self._record, "rows": self._rows, "latest": self._latest}

    def close(self) -> None:
        self._file.close()

    def _find(self, delimiter: str) -> list[int]:
        try:
            header = [heading.strip() for heading in next(self._reader, [])]
        except csv.Error as fault:
            raise SourceError(f"{self._path}:1: {fault}; this is no CSV file, correct the path") from None
        missing = [heading for heading in self._headings if heading not in header]
        if missing:
            raise SourceError(
                f"{self._path}: no column {' and no column '.join(map(repr, missing))}; there are "
                f"{', '.join(map(repr, header)) or 'none'}; add the column to the file, or correct `columns`, "
                f"`time_column` or `delimiter` (here {delimiter!r})"
            )
        return [header.index(heading) for heading in self._headings]

    def _fill(self, most: int) -> int:
        """Have `most` rows waiting, or as many as are left to publish; returns how many."""
        if self._options.limit:
            most = min(most, self._options.limit - self._rows)
        while len(self._times) < most and not self._ended:
            records: list[tuple[int, int, list[str]]] = []  # number, line, cells
            for cells in itertools.islice(self._cells(), CHUNK):
                if cells:
                    records.append((self._next, self._reader.line_num, cells))
                self._next += 1
            if records:
                self._parse(records)
        return min(most, len(self._times))

    def _cells(self) -> Iterator[list[str]]:
        """The records that are left, an unreadable one as an empty one."""
        while not self._ended:
            try:
                yield next(self._reader)
            except StopIteration:
                self._ended = True
            except csv.Error as fault:
                self._note(f"{self._path}:{self._reader.line_num}: {fault}; the row is left out; correct the line")
                yield []

    def _parse(self, records: list[tuple[int, int, list[str]]]) -> None:
        width = max(self._places) + 1
        rows = [cells if len(cells) >= width else cells + [""] * (width - len(cells)) for _, _, cells in records]
        times, good = self._parse_times([row[self._places[0]] for row in rows], records)
        try:
            if self._options.decimal != ".":
                raise ValueError
            values = np.array([[row[place] for place in self._places[1:]] for row in rows], dtype=float)
        except ValueError:
            values = np.array(list(self._parse_cells(rows, records)))
        self._note_backwards(times[good], [record[1] for record, kept in zip(records, good, strict=True) if kept])
        self._times = np.concatenate([self._times, times[good]])
        self._values = np.concatenate([self._values, values[good].astype("f4")])
        self._numbers = np.concatenate([self._numbers, np.array([record[0] for record in records])[good]])

    def _parse_cells(self, rows: list[list[str]], records: list[tuple[int, int, list[str]]]) -> Iterator[list[float]]:
        for row, (_, line, cells) in zip(rows, records, strict=True):
            if len(cells) <= max(self._places):
                self._note(f"{self._path}:{line}: {len(cells)} cells are too few; the others are published as missing")
            numbers = []
            for place, heading in zip(self._places[1:], self._headings[1:], strict=True):
                text = row[place].strip()
                try:
                    number = float(text.replace(",", ".") if self._options.decimal == "," else text)
                except ValueError:
                    number = float("nan")
                    if text.lower() not in EMPTY:
                        self._note(
                            f"{self._path}:{line}, column {heading!r}: {text[:40]!r} is no number; the value is "
                            "published as missing; correct the cell"
                        )
                numbers.append(number)
            yield numbers

    def _parse_times(self, texts: list[str], records: list[tuple[int, int, list[str]]]) -> tuple[np.ndarray, np.ndarray]:
        """(n,) int64 ns and which of them could be read."""
        scale = UNITS_NS.get(self._options.time_unit)
        good = np.ones(len(texts), bool)
        if scale is None:
            try:
                plain = [text.strip().removesuffix("Z") for text in texts]
                if any("+" in text for text in plain):
                    raise ValueError
                times = np.array(plain, "datetime64[ns]")
                if not np.isnat(times).any():
                    return times.astype(np.int64), good
            except ValueError:
                pass
        out = np.zeros(len(texts), np.int64)
        for i, text in enumerate(texts):
            try:
                out[i] = from_iso(text) if scale is None else int(text) if scale == 1 else round(float(text) * scale)
            except (ValueError, OverflowError):
                good[i] = False
                wanted = "ISO 8601 time" if scale is None else f"time in {self._options.time_unit} since the epoch"
                self._note(
                    f"{self._path}:{records[i][1]}, column {self._headings[0]!r}: {text[:40]!r} is no {wanted}; "
                    "the row has no time and is left out; correct the cell or `time_unit`"
                )
        return out, good

    def _note_backwards(self, times: np.ndarray, lines: list[int]) -> None:
        before = self._latest if not len(self._times) else max(int(self._times.max()), self._latest or 0)
        if not len(times):
            return
        start = times[0] - 1 if before is None else before
        latest = np.maximum.accumulate(np.concatenate([[start], times]))[:-1]
        late = times <= latest
        for i in np.flatnonzero(late & ~np.concatenate([[False], late[:-1]])):
            self._note(
                f"{self._path}:{lines[i]}: time runs backwards, from {to_iso(latest[i])} to {to_iso(times[i])}; rows up "
                "to the former are published flagged and not judged; sort the recording by time"
            )

    def _note(self, sentence: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            log.warning("%s", sentence)
            self.faults.append(sentence)
        elif len(self.faults) == MAX_FAULTS:
            self.faults.append(f"{self._path}: more of the kind; only the first {MAX_FAULTS} are named")
            log.warning("%s", self.faults[-1])


def _channel(name: str, units: dict[str, str]) -> Channel:
    # A recording's sensors are not the simulator's: what range is plausible for them is for `quality.channels` to say.
    known = _KNOWN.get(name, Channel(name, ""))._replace(low=float("-inf"), high=float("inf"))
    return known._replace(unit=units.get(name, known.unit))
