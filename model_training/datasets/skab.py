"""The recordings of SKAB, and your own recordings with the same layout."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgeml.parsing.csv_records import Lines, cells, headings, readable
from edgeml.parsing.readings import number, time_ns
from model_training.datasets.provenance import PARTIAL, DatasetError, Provenance, examine

COLUMNS = (
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
)
"""The columns of a recording, in the order of the model's channels."""
LABELS = ("anomaly", "changepoint")


class Recording(NamedTuple):
    """One recording.

    Attributes:
        name: such as `valve1/0.csv`.
        times: (n,) int64, ns; a time without a time zone is UTC.
        values: (n, 8) float32.
        anomaly, changepoint: (n,) bool; None if the recording has no such column.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    anomaly: np.ndarray | None
    changepoint: np.ndarray | None = None


class Skab(NamedTuple):
    """The recordings in the order of their names, and their provenance."""

    recordings: list[Recording]
    provenance: Provenance

    @property
    def partial(self) -> bool:
        return self.provenance.partial

    @property
    def digests(self) -> dict[str, str]:
        return self.provenance.digests

    @property
    def notes(self) -> tuple[str, ...]:
        return self.provenance.notes


def load_skab(folder: Path, altered: str = "refuse") -> Skab:
    """Load every `<group>/<n>.csv` below `folder` or its subfolder `skab`.

    Args:
        altered: `refuse`, or `warn` to accept altered recordings with a note.

    Raises:
        DatasetError: no recording found, or one is altered or unreadable.
    """
    provenance, contents = examine("skab", folder, "*/*.csv", altered)
    recordings = [read_recording(file.name, contents[file.name], whole_lines=file.state == PARTIAL) for file in provenance.files]
    return Skab(recordings, provenance)


def read_recording(name: str, content: bytes, whole_lines: bool = False) -> Recording:
    """Read one `;`-separated recording.

    Args:
        whole_lines: skip a last line without a line end, because the file is truncated.

    Raises:
        DatasetError: with file, line and problem.
    """
    if whole_lines:
        content = content[: content.rfind(b"\n") + 1]
    try:
        lines = Lines(io.BytesIO(content))
        found = [cells(line.text or "", ";") for line in iter(lines.next, None)]
        columns = headings(";".join(found[0]), ";") if found else []
    except ValueError as fault:
        raise DatasetError(f"{name} is not a CSV file ({fault}); copy the recording again") from None
    if len(found) < 2:
        raise DatasetError(f"{name} has no rows; copy the recording again or remove it from the folder")
    header = {column: place for place, column in enumerate(columns)}
    absent = [column for column in ("datetime", *COLUMNS) if column not in header]
    if absent:
        raise DatasetError(f"{name} has no column {', '.join(absent)}; it has {', '.join(columns)}")
    rows = [(number, line) for number, line in enumerate(found[1:], 2) if line != [""]]
    times, values = np.empty(len(rows), np.int64), np.empty((len(rows), len(COLUMNS)), np.float32)
    labels = {label: np.zeros(len(rows), bool) for label in LABELS if label in header}
    places = [header[column] for column in COLUMNS]
    for at, (at_line, line) in enumerate(rows):
        try:
            times[at] = _read(line, header["datetime"], time_ns)
            values[at] = [_read(line, place, number) for place in places]
            for label, marks in labels.items():
                marks[at] = _read(line, header[label], number) > 0
        except ValueError as fault:
            raise DatasetError(f"{name}, line {at_line}: {fault}; copy the recording again or correct the line") from None
    return Recording(name, times, values, labels.get("anomaly"), labels.get("changepoint"))


def _read(line: list[str], place: int, read: Callable[[str], float]) -> float:
    if place >= len(line):
        raise ValueError(f"it has only {len(line)} cells")
    if not line[place].strip():
        raise ValueError("the cell is empty")
    try:
        return read(line[place])
    except ValueError as fault:
        raise ValueError(f"{readable(line[place][:40])!r} is {fault}") from None
