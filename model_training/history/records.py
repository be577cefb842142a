"""Records of a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from model_training.training_request import TrainingError

Role = Literal["measured", "context"]
Span = tuple[int, int]
"""First and last event time, both included, in ns since the epoch."""


class HistoryError(TrainingError):
    """A table cannot be used. The text is one sentence: the problem, its place, the remedy."""


@dataclass(frozen=True)
class Channel:
    """One numeric column.

    Attributes:
        unit: empty if the table states none.
        role: `measured`, or `context` for a channel that explains others and is never a fault itself.
    """

    name: str
    unit: str = ""
    role: Role = "measured"


@dataclass(frozen=True)
class FileRows:
    """All rows of one file, used or not.

    Attributes:
        file: the path as given.
        times: the time of each row, as the file has it; ISO 8601 where the file has no text.
    """

    file: str
    times: tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """n rows of c channels of one asset.

    Attributes:
        name: the path as given; `path#asset` if a file holds several assets.
        times: (n,) int64, event time, ns since the epoch, increasing.
        values: (n, c) float32, NaN for missing.
        labels: (n,) bool, True for a row that is marked as a fault; None without labels.
        events: spans of known faults; None if none are stated for this recording.
        excluded: (n,) bool, True for a row that the spec excludes from normal running.
        file: (n,) int32, index in `History.files` of the file of each row.
        row: (n,) int64, number of each row in its file, from 0.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    labels: np.ndarray | None
    events: tuple[Span, ...] | None
    excluded: np.ndarray
    file: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def in_events(self) -> np.ndarray:
        """(n,) bool: whether each row is in a span of `events`."""
        return within(self.times, self.events or ())

    def normal(self) -> np.ndarray:
        """(n,) bool: rows that are neither labelled, nor in an event, nor excluded."""
        faulty = self.in_events() | self.excluded
        return ~faulty if self.labels is None else ~(faulty | self.labels)


@dataclass(frozen=True)
class History:
    """Recordings with the same channels.

    Attributes:
        interval_s: seconds from row to row.
        notes: sentences for people on the findings, and on columns and rows that were left out.
        files: the files read, with the times of all their rows.
    """

    recordings: tuple[Recording, ...]
    channels: tuple[Channel, ...]
    interval_s: float
    notes: tuple[str, ...]
    files: tuple[FileRows, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)


def within(times: np.ndarray, spans: tuple[Span, ...]) -> np.ndarray:
    """(n,) bool: whether each time is in one of the spans."""
    found = np.zeros(len(times), bool)
    for first, last in spans:
        found |= (times >= first) & (times <= last)
    return found
