"""Event times in the cells of a table: which form they have, and their nanoseconds. Pure.

Nothing is guessed: a date such as 03/04/2026 is read only if another cell of the column shows the order, and one column has one form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from edgeml.parsing.readings import UNITS_NS, times_ns
from edgeml.timestamps import SECOND, from_iso
from model_training.history.local_times import CLOCK, NAMED_DATE, NUMERIC_DATE, named_dates, numeric_dates, padded
from model_training.history.records import HistoryError

_ISO_DATE = r"[0-9]{4}(?P<mark>[-/])[0-9]{2}(?P=mark)[0-9]{2}"
_ZONE = r" ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)"
_FORMS = {
    "iso": re.compile(rf"{_ISO_DATE}[T ]{CLOCK}|[0-9]{{8}}T[0-9]{{4,6}}"),
    "iso with zone": re.compile(rf"{_ISO_DATE}[T ]{CLOCK}{_ZONE}|[0-9]{{8}}T[0-9]{{4,6}}{_ZONE}"),
    "iso date": re.compile(_ISO_DATE),
    "date and time": re.compile(rf"{NUMERIC_DATE}[T ,]+{CLOCK}"),
    "date": re.compile(NUMERIC_DATE),
    "named date and time": re.compile(rf"{NAMED_DATE}[T ,]+{CLOCK}"),
    "named date": re.compile(NAMED_DATE),
    "time of day": re.compile(CLOCK),
}
_EPOCH = re.compile(r"[0-9]{9,19}(?:\.[0-9]*)?")
_EPOCH_BEGIN, _EPOCH_END = 631_152_000, 4_102_444_800
"""A number counts as a time from 1990 to 2099; the ranges of the units do not overlap."""
DATES = ("iso date", "date", "named date")
COMPLETE = ("iso", "iso with zone", "date and time", "named date and time", *UNITS_NS)
MONTH_FIRST = "month first"
FORM_TEXTS = {
    "iso": "ISO 8601 without a zone",
    "iso with zone": "ISO 8601 with a zone",
    "iso date": "ISO 8601 dates",
    "date and time": "day, month and year",
    "date": "day, month and year",
    MONTH_FIRST: "month, day and year",
    "named date and time": "day, name of the month and year",
    "named date": "dates of day, name of the month and year",
    "time of day": "times of day",
    **{unit: f"{unit} since 1970" for unit in UNITS_NS},
}


def form_of(text: str) -> str:
    """The form of one cell, a key of `FORM_TEXTS`; empty: no time."""
    plain = text.strip()
    if _EPOCH.fullmatch(plain):
        value = float(plain)
        for unit, factor in UNITS_NS.items():
            if _EPOCH_BEGIN <= value * factor / SECOND < _EPOCH_END:
                return unit
        return ""
    return next((name for name, pattern in _FORMS.items() if pattern.fullmatch(plain)), "")


def form_of_column(texts: Sequence[str]) -> str:
    """The form of most cells of a column; empty if fewer than nine in ten are times, or if numbers do not increase as times do."""
    cells = [text for text in texts if text.strip()]
    forms = [form_of(text) for text in cells]
    known = [form for form in forms if form]
    if not known or len(known) < 0.9 * len(cells):
        return ""
    form = max(set(known), key=known.count)
    if form in UNITS_NS:
        values = np.array([float(cell.strip()) for cell, each in zip(cells, forms, strict=True) if each in UNITS_NS])
        steps = np.diff(values)
        if np.all(steps == 0) or not (np.mean(steps >= 0) > 0.9 or np.mean(steps <= 0) > 0.9):
            return ""
    return form


class TimeReader:
    """Reads the cells of one time column.

    Args:
        where: file and column, for errors.
        written: `format` of the spec; empty: by content.
        zone: zone of times without one; empty: UTC.
    """

    def __init__(self, where: str, written: str = "", zone: str = "") -> None:
        self.where, self._written, self.form = where, written, written
        self._zone = zone_of(zone) if zone else None

    def read(self, texts: Sequence[str], lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read a whole column.

        Args:
            lines: (n,) number of each cell's line in the file.

        Returns:
            (n,) int64 ns, and (n,) bool: whether the cell holds a time; an empty cell does not.

        Raises:
            HistoryError: a cell that is not a time, times in two forms, or dates in an order that the column does not show.
        """
        blank = np.array([not text.strip() for text in texts], bool)
        if blank.all():
            raise HistoryError(f"{self.where} is empty; name another time column in the spec (`time.column`)")
        first = int(np.argmin(blank))
        # An empty cell is read as its column's first time, and dropped by the caller.
        cells = [texts[first] if empty else text.strip() for text, empty in zip(texts, blank.tolist(), strict=True)]
        form = self._written or form_of_column(cells[:4096]) or form_of(cells[first])
        self.form = form
        if "%" in form:
            times, reasons = self._by_pattern(cells, form)
        elif form in UNITS_NS:
            times, reasons = times_ns(cells, form, "," if "," in cells[first] else ".")
        else:
            times, reasons = self._by_form(cells, form)
        if reasons:
            at = min(reasons)
            raise HistoryError(self._problem(cells[at], int(lines[at]), form, reasons[at]))
        return times, ~blank

    def _by_form(self, cells: list[str], form: str) -> tuple[np.ndarray, dict[int, str]]:
        if form in ("date and time", "date"):
            cells, month_first = numeric_dates(cells, self.where)
            self.form = MONTH_FIRST if month_first else form
        elif form in ("named date and time", "named date"):
            cells = named_dates(cells)
        elif form.startswith("iso"):
            cells = [cell.replace("/", "-", 2) for cell in cells] if "/" in cells[0] else cells
            cells = padded(cells) if any(map(_UNPADDED.search, cells)) else cells
        times, reasons = times_ns(cells)
        zoned = np.array([bool(_ENDS_WITH_ZONE.search(cell, 10)) for cell in cells], bool)
        if zoned.any() and not zoned.all():
            minority = not zoned[0]
            at = int(np.flatnonzero(zoned == minority)[0])
            reasons = reasons or {at: f"{'with' if minority else 'without'} a zone"}
        if zoned.all():
            self.form = "iso with zone"
        elif self._zone is not None:
            times = to_utc(times, self._zone)
        return times, reasons

    def _by_pattern(self, cells: list[str], pattern: str) -> tuple[np.ndarray, dict[int, str]]:
        times, reasons, zoned = np.zeros(len(cells), np.int64), {}, "%z" in pattern
        epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
        for at, cell in enumerate(cells):
            try:
                moment = datetime.strptime(cell, pattern)
            except ValueError:
                reasons[at] = f"not in the form {pattern!r}"
                continue
            moment = moment if zoned and moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            times[at] = (moment - epoch) // timedelta(microseconds=1) * 1000
        return (times if zoned or self._zone is None else to_utc(times, self._zone)), reasons

    def _problem(self, cell: str, line: int, form: str, reason: str) -> str:
        other = form_of(cell)
        if (other and other != form) or reason.endswith("a zone"):
            return (
                f"{self.where} has the time in two forms: most cells are {FORM_TEXTS.get(form, form)}, line {line} is {cell[:40]!r}; "
                "write one form"
            )
        return (
            f"{self.where}, line {line}: {cell[:40]!r} is not a time ({reason}); correct the cell, or state the form in the spec "
            "(`time.format`)"
        )


_UNPADDED = re.compile(r"[T ][0-9]:|[AaPp][Mm]$")
_ENDS_WITH_ZONE = re.compile(r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)$")


def zone_of(name: str) -> tzinfo:
    """A zone by its name or offset.

    Raises:
        HistoryError: no such zone.
    """
    found = re.fullmatch(r"([+-])([0-9]{2}):?([0-9]{2})", name)
    if found:
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset < timedelta(days=1):
            return timezone(-offset if found[1] == "-" else offset)
    try:
        return timezone.utc if name in ("UTC", "Z") else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise HistoryError(
            f"`time.zone` is {name!r}, an unknown zone; write a name such as Europe/Berlin or an offset such as +01:00"
        ) from None


def to_utc(local: np.ndarray, zone: tzinfo) -> np.ndarray:
    """Local times (n,) int64 ns as UTC.

    In the hour that a clock set back repeats, rows count as the first pass until the time steps back, then as the second.
    """
    quarters, place = np.unique(local // (900 * SECOND), return_inverse=True)
    offsets = np.empty((len(quarters), 2), np.int64)
    for at, quarter in enumerate(quarters.tolist()):
        moment = datetime(1970, 1, 1) + timedelta(seconds=quarter * 900)
        for fold in (0, 1):
            offset = moment.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0)
            offsets[at, fold] = offset // timedelta(microseconds=1) * 1000
    offset, again = offsets[place, 0], offsets[place, 1]
    twice = again < offset
    if twice.any():
        back = np.concatenate([[False], np.diff(local) < 0])
        begins = np.concatenate([[False], twice[1:] & ~twice[:-1]])
        passed, second = False, np.zeros(len(local), bool)
        for at in np.flatnonzero(twice | begins).tolist():
            passed = (passed and not begins[at]) or bool(back[at] and not begins[at])
            second[at] = passed
        offset = np.where(second, again, offset)
    return local - offset


def parse_time(text: str, zone: str, unit: str = "") -> int:
    """One time of a spec or of a list of events, ns since 1970: ISO 8601, or a number in the unit of the history's times.

    Raises:
        ValueError: neither.
    """
    plain = text.strip()
    if form_of(plain) in UNITS_NS:
        return int(times_ns([plain], form_of(plain) if unit not in UNITS_NS else unit)[0][0])
    at = from_iso(plain.replace("/", "-", 2))
    if zone and not _ENDS_WITH_ZONE.search(plain, 10):
        return int(to_utc(np.array([at], np.int64), zone_of(zone))[0])
    return at
