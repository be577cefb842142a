"""Dates of day, month and year, in any order, and clocks of 12 hours, as ISO 8601. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from model_training.history.records import HistoryError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,18})?)?(?: ?[AaPp][Mm])?"
NUMERIC_DATE = r"[0-9]{1,2}(?P<mark>[./-])[0-9]{1,2}(?P=mark)[0-9]{4}"
NAMED_DATE = rf"(?i:[0-9]{{1,2}}[ ./-](?:{'|'.join(MONTHS)})[a-z]*[ ./-][0-9]{{4}})"
_NUMERIC = re.compile(r"([0-9]{1,2})[./-]([0-9]{1,2})[./-]([0-9]{4})(.*)")
_NAMED = re.compile(r"([0-9]{1,2})[ ./-]([A-Za-z]{3})[A-Za-z]*[ ./-]([0-9]{4})(.*)")
_CLOCK = re.compile(r"([0-9]{1,2})(:[0-9:.,]*?) ?(?:([AaPp])[Mm])?")


def numeric_dates(cells: Sequence[str], where: str) -> tuple[list[str], bool]:
    """Dates such as 25/03/2026, with times of day, as ISO 8601, and whether the month is first. A cell of another form stays as it is.

    Raises:
        HistoryError: no cell shows the order of day and month, or cells show both orders.
    """
    parts = [_NUMERIC.fullmatch(cell) for cell in cells]
    day_first = next((cell for cell, found in zip(cells, parts, strict=True) if found and int(found[1]) > 12), None)
    month_first = next((cell for cell, found in zip(cells, parts, strict=True) if found and int(found[2]) > 12), None)
    if day_first and month_first:
        raise HistoryError(
            f"{where} has the time in two forms, such as {month_first!r} and {day_first!r}: the day first and the month first; "
            "write one form"
        )
    # Nobody writes the month first with dots.
    if not day_first and not month_first and "." not in cells[0]:
        raise HistoryError(
            f"{where} has dates such as {cells[0]!r}, in which no cell shows whether the day or the month is first; "
            "state it in the spec, such as `time: {format: '%d/%m/%Y %H:%M:%S'}`"
        )
    one, other = (2, 1) if month_first else (1, 2)
    out = [cell if found is None else _iso(found[3], found[other], found[one], found[4]) for cell, found in zip(cells, parts, strict=True)]
    return out, month_first is not None


def named_dates(cells: Sequence[str]) -> list[str]:
    """Dates such as 25-Mar-2026, with times of day, as ISO 8601. A cell of another form stays as it is."""
    out = []
    for cell in cells:
        found = _NAMED.fullmatch(cell)
        known = found is not None and found[2].lower() in MONTHS
        out.append(_iso(found[3], str(MONTHS.index(found[2].lower()) + 1), found[1], found[4]) if found and known else cell)
    return out


def padded(cells: Sequence[str]) -> list[str]:
    """ISO 8601 with a clock of 12 hours or an hour of one digit as plain ISO 8601."""
    return [cell if len(cell) < 12 else cell[:10] + _clock(cell[10:]) for cell in cells]


def _iso(year: str, month: str, day: str, clock: str) -> str:
    return f"{year}-{month:0>2}-{day:0>2}{_clock(clock)}"


def _clock(text: str) -> str:
    """A time of day after a date, with a blank before it; a text of another form stays as it is."""
    plain = text.strip(" T")
    found = _CLOCK.fullmatch(plain)
    if found is None:
        return text
    hour = int(found[1])
    if found[3]:
        if not 1 <= hour <= 12:
            return text
        hour = hour % 12 + (12 if found[3] in "Pp" else 0)
    return f" {hour:02d}{found[2]}"
