"""Recordings as SensorIngestion reads them, with their anomaly labels."""

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
from model_training.evaluation.splits import BASELINE_ROWS, NORMAL_GROUP, PIECE_ROWS
from model_training.natural_order import natural
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
        rows: (n,) int, number of each row in the file, from 0. Rows without a valid time are not included.
        texts: times of all rows as text from the file.
        times: (n,) int64, ns.
        values: (n, c) float32.
        anomaly, changepoint: (n,) bool; None if the file has no such column.
        flags: (n, c) uint8, quality flags; None: determined by SensorIngestion's quality checker.
        warnings: one sentence for each problem in the file.
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
    warnings: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}"

    def __len__(self) -> int:
        return len(self.times)

    def quality(self) -> np.ndarray:
        """Quality flags (n, c) uint8 by SensorIngestion's quality checker with its defaults."""
        if self.flags is not None:
            return self.flags
        options = QualityOptions()
        checker = QualityChecker(self.channels, options.max_gap_s, options.stopped_channel, options.stopped_below)
        return checker.check(self.times, self.values)

    def part(self, rows: slice | np.ndarray) -> Recording:
        """Select rows as a separate recording. Its quality flags are determined again."""
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
class RecordingSet:
    """The recordings of a folder.

    Attributes:
        recordings: all recordings except those of the group `anomaly-free`.
        normal: recordings of the group `anomaly-free`.
        skipped: one sentence for each file that cannot be evaluated.
    """

    recordings: tuple[Recording, ...]
    normal: tuple[Recording, ...]
    skipped: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(warning for recording in (*self.recordings, *self.normal) for warning in recording.warnings)


def root_of(folder: Path) -> Path:
    """The folder with the groups."""
    return folder / "skab" if (folder / "skab").is_dir() else folder


def is_layout(paths: Sequence[Path], names: Sequence[str]) -> bool:
    """Whether `find` reads the data: one folder with `<group>/<name>.csv`, for a model of the layout's channels.

    Args:
        names: the model's channels.
    """
    known = LAYOUTS[LAYOUT].columns.keys() >= set(names)
    return known and len(paths) == 1 and (not paths[0].exists() or (paths[0].is_dir() and any(root_of(paths[0]).glob("*/*.csv"))))


def find(folder: Path, interval_s: float = 1.0) -> RecordingSet:
    """Read `folder/<group>/<name>.csv`, or those below `folder/skab`.

    Args:
        interval_s: the model's interval between rows, in seconds.

    Raises:
        SourceError: no recording found, or none can be evaluated.
    """
    root = root_of(folder)
    if not root.is_dir():
        raise SourceError(f"{folder}: no such folder; name the folder that holds <group>/<name>.csv with --data")
    files = sorted(root.glob("*/*.csv"), key=lambda path: natural(path.relative_to(root).as_posix()))
    if not files:
        raise SourceError(f"{folder} has no recordings (<group>/<name>.csv); name the folder that holds the groups with --data")
    read, skipped = [], []
    for file in files:
        try:
            read.append(load(file, interval_s))
        except SourceError as fault:
            skipped.append(str(fault))
    if not read:
        raise SourceError("; ".join(skipped))
    normal = tuple(each for each in read if each.group == NORMAL_GROUP)
    return RecordingSet(tuple(each for each in read if each.group != NORMAL_GROUP), normal, tuple(skipped))


def load(path: Path, interval_s: float = 1.0) -> Recording:
    """Load one recording.

    Raises:
        SourceError: the recording cannot be evaluated.
    """
    numbers, cells, header = _records(path)
    source = _quiet_source(path)
    try:
        rows, times, values = _read(path, source, numbers)
        if not len(times):
            raise SourceError(f"{path} has no rows; remove the file or copy it again")
        warnings = list(source.faults)
        anomaly, anomaly_warnings = _marks(path, header, cells, rows, ANOMALY)
        changepoint, changepoint_warnings = _marks(path, header, cells, rows, CHANGEPOINT)
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
    return replace(recording, warnings=tuple(warnings + anomaly_warnings + changepoint_warnings + _label_warnings(path, recording)))


def _records(path: Path) -> tuple[dict[int, int], list[list[str]], list[str]]:
    """Row number by record number (empty lines are not rows), cells of the rows, and headings."""
    try:
        if not path.stat().st_size:
            raise SourceError(f"{path} is empty; copy the file again or remove it")
        lines = Lines(open_plain(path))
    except OSError as fault:
        raise SourceError(f"{path} cannot be read ({fault.strerror}); make the file readable or remove it") from None
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
        raise SourceError(f"{path}:1: {fault}; not a recording, correct the file") from None
    finally:
        lines.close()
    return numbers, rows, header


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return [readable(cell) for cell in cells(text, delimiter)]
    except ValueError:  # the component's source reports this and skips the row
        return []


def _quiet_source(path: Path) -> Source:
    """The component's source, with its faults collected as warnings instead of logged."""
    source = Source(CsvReplayOptions(path=str(path), layout=LAYOUT, speed=0), _CLOCKS)
    source.input_faults.quiet = True
    return source


def _read(path: Path, source: Source, numbers: dict[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers, times and values of all rows with a valid time."""
    blocks = list(_blocks(source, len(numbers) + 1))
    if not blocks:
        return np.empty(0, int), np.empty(0, np.int64), np.empty((0, len(source.channels)), np.float32)
    times, values = (np.concatenate(column) for column in zip(*blocks, strict=True))
    if len(times) < len(numbers):
        # Some rows had no valid time. Only the checkpoint identifies the last row read, so read again row by row.
        again = _quiet_source(path)
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
        return None, [f"{path}: column {column!r} has cells that are not numbers, so the column is ignored; correct the cells"]
    return marks > 0, []


def _check_pace(path: Path, recording: Recording, interval_s: float) -> None:
    steps = np.diff(recording.times)
    steps = steps[steps > 0]
    if len(steps) and not interval_s / 2 < (actual := float(np.median(steps)) / 1e9) < interval_s * 2:
        raise SourceError(
            f"{path}: one row every {actual:g} s, but the model needs one every {interval_s:g} s; resample the recording or remove the file"
        )


def _check_length(path: Path, recording: Recording) -> None:
    if len(recording) <= BASELINE_ROWS:
        raise SourceError(
            f"{path}: {len(recording)} rows leave no test rows after the {BASELINE_ROWS} baseline rows; add rows or remove the file"
        )


def _label_warnings(path: Path, recording: Recording) -> list[str]:
    if recording.group == NORMAL_GROUP:
        if len(recording) >= PIECE_ROWS:
            return []
        return [f"{path}: {len(recording)} rows, but measuring false alarms needs {PIECE_ROWS}; add rows"]
    if recording.anomaly is None:
        return [f"{path}: no column {ANOMALY!r}, so the figures exclude this recording; add labels to include it"]
    marked = int(recording.anomaly[:BASELINE_ROWS].sum())
    if not marked:
        return []
    return [
        f"{path}: {marked} of the {BASELINE_ROWS} baseline rows are labelled anomalous; its baseline is not normal, "
        "and its rows must not train as normal rows"
    ]


def labelled(recordings: Sequence[Recording]) -> list[Recording]:
    """Recordings with labels."""
    return [recording for recording in recordings if recording.anomaly is not None]
