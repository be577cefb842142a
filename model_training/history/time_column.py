"""Finds the time column of a table."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import numpy as np

from edgeml.timestamps import SECOND, to_iso
from model_training.history.records import HistoryError
from model_training.history.spec import Spec
from model_training.history.table import Table
from model_training.history.times import COMPLETE, DATES, FORM_TEXTS, TimeReader, form_of_column

SAMPLE = 200
PAIR = " + "


def may_be_time(cells: Sequence[str]) -> bool:
    """Whether the first cells of a column are times, dates or times of day."""
    return bool(form_of_column(_sample(cells)))


def find(table: Table, spec: Spec) -> tuple[str, ...]:
    """Headings of the time column, or of the columns with date and time of day.

    Raises:
        HistoryError: no such column, or several.
    """
    if spec.time.column:
        wanted = (spec.time.column,) if spec.time.column in table.columns else tuple(spec.time.column.split(PAIR))
        absent = [name for name in wanted if name not in table.columns]
        if absent:
            raise HistoryError(
                f"{table.name} has no column {absent[0]!r}; it has {listed(table.columns)}; correct `time.column` in the spec, or the file"
            )
        return wanted
    forms = {
        name: form_of_column(_sample(column.texts))
        for name, column in table.columns.items()
        if column.texts is not None and name not in spec.ignore
    }
    complete = _varied(table, [name for name, form in forms.items() if form in COMPLETE])
    if len(complete) == 1:
        return (complete[0],)
    if complete:
        raise HistoryError(
            f"{table.name} has {len(complete)} columns with times, {listed(complete)}; state which one holds the event time in the spec, "
            f"such as `time: {{column: {complete[0]}}}`"
        )
    dates = [name for name, form in forms.items() if form in DATES]
    clocks = [name for name, form in forms.items() if form == "time of day"]
    if len(dates) == len(clocks) == 1:
        return dates[0], clocks[0]
    if len(dates) == 1 and not clocks and len(set(table.columns[dates[0]].texts or ())) > 1:
        return (dates[0],)
    if dates and clocks:
        raise HistoryError(
            f"{table.name} has several columns with dates or times of day, {listed([*dates, *clocks])}; "
            f"state two of them in the spec, such as `time: {{column: {dates[0]}{PAIR}{clocks[0]}}}`"
        )
    raise HistoryError(
        f"{table.name} has no time column: no column holds ISO 8601 times, dates with times, or numbers since 1970; it has "
        f"{listed(table.columns)}; add the time of each row, or state `time.column` and `time.format` in the spec"
    )


def read(table: Table, names: tuple[str, ...], spec: Spec) -> tuple[np.ndarray, np.ndarray, list[str], str]:
    """Read the times of a table.

    Returns:
        (n,) int64 ns; (n,) bool, whether the row has a time; the cells as text; and a description for people.

    Raises:
        HistoryError: see `TimeReader.read`.
    """
    parts = [table.columns[name].texts or [] for name in names]
    texts = parts[0] if len(parts) == 1 else [" ".join(each).strip() for each in zip(*parts, strict=True)]
    reader = TimeReader(f"{table.name}, column {PAIR.join(names)!r}", spec.time.format, spec.time.zone)
    times, known = reader.read(texts, table.lines)
    form = FORM_TEXTS.get(reader.form, f"in the form {reader.form}")
    zone = "" if reader.form in ("iso with zone", "s", "ms", "us", "ns") or "%z" in reader.form else f", read as {spec.time.zone or 'UTC'}"
    return times, known, texts, f"time column {PAIR.join(names)!r}, {form}{zone}"


def ordered(times: np.ndarray, known: np.ndarray, where: str) -> tuple[np.ndarray, list[str]]:
    """Indices of the rows to use, in the order of time, and notes on the others.

    Raises:
        HistoryError: more than half of the rows cannot be used.
    """
    notes = []
    rows = np.flatnonzero(known)
    if len(rows) < len(times):
        notes.append(f"dropped {counted(len(times) - len(rows), 'row')} without a time")
    steps = np.diff(times[rows])
    if len(steps) and np.median(steps) < 0:
        rows = rows[::-1]
        notes.append("the rows run from the latest to the earliest and were reversed")
    at = times[rows]
    keep = np.arange(len(at)) if (np.diff(at) > 0).all() else longest_increasing(at)
    dropped = np.delete(at, keep)
    same = int(np.isin(dropped, at[keep]).sum())
    if len(dropped) > len(at) / 2:
        cause = "repeat the time of another row" if same > len(dropped) / 2 else "run backwards in time"
        raise HistoryError(
            f"{where}: {len(dropped)} of {len(at)} rows {cause}; if the file holds several assets, state `asset_column` in the spec, else "
            "correct the time column"
        )
    if same:
        notes.append(f"dropped {counted(same, 'row')} with the time of another row")
    if len(dropped) > same:
        first = to_iso(int(dropped[~np.isin(dropped, at[keep])][0]))
        notes.append(f"dropped {counted(len(dropped) - same, 'row')} out of the order of time, the first at {first}")
    return rows[keep], notes


def longest_increasing(at: np.ndarray) -> np.ndarray:
    """Indices of a longest strictly increasing subsequence, so that as few rows as possible are dropped."""
    ends: list[int] = []  # for each length, the smallest last value of a subsequence of this length
    last: list[int] = []  # and its index
    before = np.full(len(at), -1)
    for place, value in enumerate(at.tolist()):
        length = bisect.bisect_left(ends, value)
        if length < len(ends) and ends[length] == value:
            continue
        ends[length : length + 1] = [value]
        last[length : length + 1] = [place]
        before[place] = last[length - 1] if length else -1
    chain = []
    place = last[-1] if last else -1
    while place >= 0:
        chain.append(place)
        place = int(before[place])
    return np.array(chain[::-1], np.int64)


def interval_s(times: np.ndarray) -> float:
    """Median of the steps between increasing times, in s."""
    return float(np.median(np.diff(times))) / SECOND


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names for a sentence."""
    names = [repr(name) for name in names]
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def counted(n: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _sample(cells: Sequence[str] | None) -> list[str]:
    cells = cells or ()
    return [*cells[:SAMPLE], *cells[SAMPLE:2000][-SAMPLE:]]


def _varied(table: Table, names: list[str]) -> list[str]:
    """The columns without those that hold few times, such as the date of an inspection."""
    counts = {name: len(set(table.columns[name].texts or ())) for name in names}
    return [name for name in names if counts[name] > 1 and counts[name] >= 0.1 * max(counts.values())]
