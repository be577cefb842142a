"""Histories to train on, and later rows of the same machines: SKAB, TEP and NAB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from model_training.evaluation.splits import NORMAL_END, NORMAL_TRAINING_ROWS
from model_training.history import History, HistoryError, Recording, Spec, read

NAB_SHARE = 0.15
"""Share of each series of NAB that trains."""


@dataclass(frozen=True)
class Case:
    """One machine.

    Attributes:
        history: normal rows that train.
        measured: rows that measure, with the same channels.
    """

    name: str
    history: History
    measured: tuple[Recording, ...]


def skab(folder: Path) -> list[Case]:
    """Rows 0 to 2349 of `anomaly-free` train, rows 2350 to 4699 measure."""
    history = read([folder / "anomaly-free" / "anomaly-free.csv"], Spec())
    whole = history.recordings[0]
    return [_case("skab", history, part(whole, 0, NORMAL_TRAINING_ROWS), (part(whole, NORMAL_TRAINING_ROWS, NORMAL_END),))]


def tep(folder: Path) -> list[Case]:
    """`normal_1` trains; `normal_2` and the faults measure."""
    history = read([folder / "normal_1.csv"], Spec())
    others = [folder / "normal_2.csv", *sorted(folder.glob("fault_*.csv"))]
    measured = tuple(each for file in others for each in read([file], Spec(), history.names).recordings)
    return [_case("tep", history, history.recordings[0], measured)]


def nab(folder: Path) -> list[Case]:
    """The first part of each series trains, the rest measures."""
    spec = Spec(events=str(folder / "windows.json"))
    cases = []
    for file in sorted(folder.glob("*.csv")):
        history = read([file], spec)
        whole = history.recordings[0]
        end = int(len(whole) * NAB_SHARE)
        cases.append(_case(file.stem, history, part(whole, 0, end), (part(whole, end, len(whole)),)))
    return cases


SETS: dict[str, Callable[[Path], list[Case]]] = {"skab": skab, "tep": tep, "nab": nab}
"""The name of a set, also that of its folder, and the function that reads it."""


def load(data: Path) -> dict[str, list[Case]]:
    """Read the sets whose folders exist.

    Raises:
        HistoryError: a file cannot be read, or no set is there.
    """
    found = {name: cases(data / name) for name, cases in SETS.items() if (data / name).is_dir()}
    if not found:
        raise HistoryError(f"{data} has none of the folders {', '.join(SETS)}; name the folder that contains them")
    return found


def part(recording: Recording, first: int, end: int) -> Recording:
    """Rows `first` to `end` - 1."""
    rows = slice(first, end)
    return replace(
        recording,
        times=recording.times[rows],
        values=recording.values[rows],
        labels=None if recording.labels is None else recording.labels[rows],
        excluded=recording.excluded[rows],
        file=recording.file[rows],
        row=recording.row[rows],
    )


def _case(name: str, history: History, trains: Recording, measured: tuple[Recording, ...]) -> Case:
    return Case(name, replace(history, recordings=(trains,)), measured)
