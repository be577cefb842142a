"""Recordings as the component SensorIngestion reads them, with the marks that say what is anomalous."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeml.errors import SourceError
from edgeml.parsing.csv_records import Lines, cells, headings, readable
from edgeml.parsing.readings import BLANKS, number
from edgeml.storage.regular_files import open_plain
from model_training import component_path as _paths  # noqa: F401  the components become importable
from model_training.evaluation.splits import BASELINE_ROWS, FREE_GROUP, PIECE_ROWS, natural
from sensor_ingestion.options import QualityOptions
from sensor_ingestion.quality import QualityChecker
from sensor_ingestion.sources.base import Channel, Clocks, RowBlock
from sensor_ingestion.sources.csv_layouts import LAYOUTS
from sensor_ingestion.sources.csv_replay import CsvReplay as Source
from sensor_ingestion.sources.csv_replay import CsvReplayOptions

LAYOUT = "skab"
ANOMALY, CHANGEPOINT = "anomaly", "changepoint"
_CLOCKS = Clocks(time.monotonic, time.time_ns)


@dataclass(frozen=True)
class Recording:
    """n rows of c channels.

    Attributes:
        group, name: of `<group>/<name>.csv`.
        channels: names, units and plausible ranges.
        rows: (n,) int, each row's number in the file, from 0; a row without a readable time is not among them.
        texts: all rows' times as they stand in the file.
        times: (n,) int64, ns.
        values: (n, c) float32.
        anomaly, changepoint: (n,) bool; None where the file has no such column.
        flags: (n, c) uint8, what is known of the values' quality; None: it is for SensorIngestion's checker to say.
        remarks: a sentence for each oddity.
    """

    group: str
    name: str
    channels: tuple[Channel, ...]
    rows: np.ndarray
    texts: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    anomaly: np.ndarray | None = None
    changepoint: np.ndarray | None = None
    flags: np.ndarray | None = None
    remarks: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}"

    def __len__(self) -> int:
        return len(self.times)

    def quality(self) -> np.ndarray:
        """(n, c) uint8: what SensorIngestion says of each value, with its defaults."""
        if self.flags is not None:
            return self.flags
        options = QualityOptions()
        checker = QualityChecker(self.channels, options.max_gap_s, options.stopped_channel, options.stopped_below)
        return checker.check(self.times, self.values)

    def part(self, rows: slice | np.ndarray) -> Recording:
        """Some of its rows, as a recording of their own, whose quality is checked anew."""
        return replace(
            self,
            rows=self.rows[rows],
            times=self.times[rows],
            values=self.values[rows],
            flags=None,
            anomaly=None if self.anomaly is None else self.anomaly[rows],
            changepoint=None if self.changepoint is None else self.changepoint[rows],
        )


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        recordings: all but those of the group `anomaly-free`, which are in `free`.
        left_out: a sentence for each file that cannot be judged.
    """

    recordings: tuple[Recording, ...]
    free: tuple[Recording, ...]
    left_out: tuple[str, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        return tuple(remark for recording in (*self.recordings, *self.free) for remark in recording.remarks)


def find(folder: Path, interval_s: float = 1.0) -> Found:
    """Read `folder/<group>/<name>.csv`, or those below `folder/skab`.

    Args:
        interval_s: seconds between rows that the model wants.

    Raises:
        SourceError: there is none, or none that can be judged.
    """
    root = folder / "skab" if (folder / "skab").is_dir() else folder
    if not root.is_dir():
        raise SourceError(f"{folder}: no such folder; give the one that holds <group>/<name>.csv with --data")
    files = sorted(root.glob("*/*.csv"), key=lambda path: natural(path.relative_to(root).as_posix()))
    if not files:
        raise SourceError(f"{folder}: no recordings in it (<group>/<name>.csv); give the folder that holds the groups with --data")
    read, left_out = [], []
    for file in files:
        try:
            read.append(load(file, interval_s))
        except SourceError as fault:
            left_out.append(str(fault))
    if not read:
        raise SourceError("; ".join(left_out))
    free = tuple(each for each in read if each.group == FREE_GROUP)
    return Found(tuple(each for each in read if each.group != FREE_GROUP), free, tuple(left_out))


def load(path: Path, interval_s: float = 1.0) -> Recording:
    """One recording.

    Raises:
        SourceError: it cannot be judged: what is wrong, and the remedy.
    """
    numbers, cells, header = _records(path)
    source = _quietly(path)
    try:
        rows, times, values = _read(path, source, numbers)
        if not len(times):
            raise SourceError(f"{path}: it has no rows; take it away, or copy it again")
        remarks = list(source.faults)
        anomaly, wrong = _marks(path, header, cells, rows, ANOMALY)
        changepoint, more = _marks(path, header, cells, rows, CHANGEPOINT)
        recording = Recording(
            path.parent.name,
            path.stem,
            source.channels,
            rows,
            _texts(header, cells),
            times,
            values,
            anomaly,
            changepoint,
        )
    finally:
        source.close()
    _check_pace(path, recording, interval_s)
    _check_length(path, recording)
    return replace(recording, remarks=tuple(remarks + wrong + more + _doubts(path, recording)))


def _records(path: Path) -> tuple[dict[int, int], list[list[str]], list[str]]:
    """Record number -> row number (an empty line is no row), the rows' cells, the headings."""
    try:
        if not path.stat().st_size:
            raise SourceError(f"{path}: the file is empty; copy it again, or take it away")
        lines = Lines(open_plain(path))
    except OSError as fault:
        raise SourceError(f"{path}: cannot be read ({fault.strerror}); make it readable, or take it away") from None
    delimiter = LAYOUTS[LAYOUT].delimiter
    numbers: dict[int, int] = {}
    rows: list[list[str]] = []
    try:
        first = lines.next()
        header = headings(first.text or "", delimiter) if first is not None else []
        while (line := lines.next()) is not None:
            if line.text is None or line.text.strip(BLANKS):
                numbers[line.number - 2] = len(rows)
                rows.append(_cells(line.text or "", delimiter))
    except ValueError as fault:
        raise SourceError(f"{path}:1: {fault}; this is no recording, correct the file") from None
    finally:
        lines.close()
    return numbers, rows, header


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return [readable(cell) for cell in cells(text, delimiter)]
    except ValueError:  # the component's own source says so, and leaves the row out
        return []


def _quietly(path: Path) -> Source:
    """The component's own source; its faults are told as remarks instead of in the log."""
    source = Source(CsvReplayOptions(path=str(path), layout=LAYOUT, speed=0), _CLOCKS)
    source.notes.quiet = True
    return source


def _read(path: Path, source: Source, numbers: dict[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers, times, values of all rows that have a time."""
    blocks = list(_blocks(source, len(numbers) + 1))
    if not blocks:
        return np.empty(0, int), np.empty(0, np.int64), np.empty((0, len(source.channels)), np.float32)
    times, values = (np.concatenate(column) for column in zip(*blocks, strict=True))
    if len(times) < len(numbers):
        # Some rows had no time; which ones only the place of the last row read tells, so once more, row by row.
        again = _quietly(path)
        try:
            places = [numbers[again.checkpoint()["record"] - 1] for _ in _blocks(again, 1)]
        finally:
            again.close()
        return np.array(places), times, values
    return np.arange(len(times)), times, values


def _blocks(source: Source, most: int) -> Iterator[RowBlock]:
    while not source.finished:
        block = source.read(0.0, most)
        if block is not None:
            yield block


def _texts(header: list[str], cells: list[list[str]]) -> tuple[str, ...]:
    place = header.index(LAYOUTS[LAYOUT].time_column)
    return tuple(row[place].strip() if place < len(row) else "" for row in cells)


def _marks(path: Path, header: list[str], lines: list[list[str]], rows: np.ndarray, column: str) -> tuple[np.ndarray | None, list[str]]:
    if column not in header:
        return None, []
    place = header.index(column)
    try:
        marks = np.array([number(lines[row][place]) for row in rows])
    except (ValueError, IndexError):
        return None, [f"{path}: column {column!r} has cells that are no number; the recording counts as one without it; correct them"]
    return marks > 0, []


def _check_pace(path: Path, recording: Recording, interval_s: float) -> None:
    steps = np.diff(recording.times)
    steps = steps[steps > 0]
    if len(steps) and not interval_s / 2 < (given := float(np.median(steps)) / 1e9) < interval_s * 2:
        raise SourceError(
            f"{path}: a row each {given:g} s where the model wants one each {interval_s:g} s; resample the recording, or take it away"
        )


def _check_length(path: Path, recording: Recording) -> None:
    if len(recording) <= BASELINE_ROWS:
        raise SourceError(
            f"{path}: {len(recording)} rows, of which the first {BASELINE_ROWS} are the baseline, leave none to judge; "
            "take it away, or copy it again"
        )


def _doubts(path: Path, recording: Recording) -> list[str]:
    if recording.group == FREE_GROUP:
        if len(recording) >= PIECE_ROWS:
            return []
        return [f"{path}: {len(recording)} rows are fewer than the {PIECE_ROWS} of one piece, so it measures no false alarms; add rows"]
    if recording.anomaly is None:
        return [f"{path}: no column {ANOMALY!r}, so its rows enter no figure but the predictions; add the labels to have it judged"]
    marked = int(recording.anomaly[:BASELINE_ROWS].sum())
    if not marked:
        return []
    return [
        f"{path}: {marked} of the {BASELINE_ROWS} baseline rows are labelled anomalous; its baseline is not normal, "
        "and its rows must not train as normal ones"
    ]


def labelled(recordings: Sequence[Recording]) -> list[Recording]:
    """Those that can be judged against labels."""
    return [recording for recording in recordings if recording.anomaly is not None]
