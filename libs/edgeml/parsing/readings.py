"""Parses numbers and event times in text, for recordings, lines of JSON and files of `edgeml data prepare`.

Invalid text raises and is never guessed: no words, no digits but 0 to 9, no underscores, no thousands separators, no two-digit years,
no number of seconds in place of ISO 8601. The results are the same on every supported Python. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import numpy as np

from edgeml.timestamps import from_iso

TimeUnit = Literal["iso", "s", "ms", "us", "ns"]
DecimalSign = Literal[".", ","]

UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
EMPTY = ("", "nan", "-nan", "null", "none", "na", "n/a")
"""Spellings of a missing value, in lower or upper case."""
BLANKS = " \t"
_LATEST_NS = 1 << 63
LARGEST = float(np.finfo(np.float32).max)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
# In text with only these characters, float() accepts exactly the numbers that _NUMBER accepts.
_PLAIN = {".": re.compile(r"[0-9+\-.eE \t|]*"), ",": re.compile(r"[0-9+\-,eE \t|]*")}
# Numbers since the epoch with no more decimals than a nanosecond: (pattern, decimals of a nanosecond).
_PLAIN_EPOCH = {
    unit: (re.compile(rf"(?:[0-9]{{1,19}}(?:\.[0-9]{{0,{places}}})?\|)*"), places)
    for unit, places in (("s", 9), ("ms", 6), ("us", 3), ("ns", 0))
}
# Times for which numpy and from_iso agree. numpy also accepts words, years of any length, and dates beyond 64 bits.
_PLAIN_ISO = re.compile(
    r"(?:(?:19[7-9][0-9]|2[01][0-9]{2}|22[0-5][0-9]|226[01])-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z?\|)*"
)


def number(text: str, decimal: str = ".") -> float:
    """Parse a number that fits into float32; NaN for one of `EMPTY`.

    Args:
        decimal: the decimal sign, `.` or `,`; the other one is invalid.

    Raises:
        ValueError: not a number, or beyond float32, including infinity. The message is the reason.
    """
    plain = text.strip(BLANKS)
    if decimal == ",":
        plain = plain.replace(",", ".") if "." not in plain else "?"
    if _NUMBER.fullmatch(plain) is None:
        if plain.lower() in EMPTY:
            return float("nan")
        raise ValueError("no number")
    return fits(float(plain))


def fits(value: float) -> float:
    """Return the value; raises ValueError if float32 cannot hold it."""
    if abs(value) > LARGEST:
        raise ValueError("out of the range of float32")
    return value


def numbers(texts: Sequence[str], decimal: str = ".") -> tuple[np.ndarray, dict[int, str]]:
    """Parse many texts: (n,) float32, NaN where `number` returns NaN or raises, and the reasons by index where it raises."""
    joined = "|".join(texts)
    if _PLAIN[decimal].fullmatch(joined):
        try:
            quick = np.array([*map(float, joined.replace(",", ".").split("|") if decimal == "," else texts)])
        except ValueError:
            pass
        else:
            if not len(quick) or np.abs(quick).max() <= LARGEST:
                return quick.astype(np.float32), {}
    values, reasons = np.full(len(texts), np.nan, np.float32), {}
    for place, text in enumerate(texts):
        try:
            values[place] = number(text, decimal)
        except ValueError as fault:
            reasons[place] = str(fault)
    return values, reasons


def time_ns(text: str, unit: str = "iso", decimal: str = ".") -> int:
    """Parse an event time: ns since the epoch.

    Args:
        unit: `iso` for ISO 8601 (see `edgeml.timestamps.from_iso`), or the unit of a number since the epoch: `s`, `ms`, `us`, `ns`.
        decimal: the decimal sign of such a number.

    Raises:
        ValueError: not a time, or before 1970 or after 2262. The message is the reason.
    """
    if unit == "iso":
        ns = from_iso(text)
    else:
        plain = text.strip(BLANKS)
        if decimal == ",":
            plain = plain.replace(",", ".") if "." not in plain else "?"
        if len(plain) > 80 or _NUMBER.fullmatch(plain) is None:
            raise ValueError(f"no time in {unit} since the epoch")
        exact = Decimal(plain)
        # A large exponent would make a number that does not fit into memory.
        size = exact.adjusted()
        ns = round(exact * UNITS_NS[unit]) if -20 < size < 20 else 0 if size < 0 or not exact else -1
    if not 0 <= ns < _LATEST_NS:
        raise ValueError("before 1970 or after 2262")
    return ns


def times_ns(texts: Sequence[str], unit: str = "iso", decimal: str = ".") -> tuple[np.ndarray, dict[int, str]]:
    """Parse many texts: (n,) int64, 0 where `time_ns` raises, and the reasons by index."""
    joined = "".join([f"{text}|" for text in texts])
    if decimal == "," and unit != "iso":
        joined = joined.replace(",", ".") if "." not in joined else ""
    quick = _quick_times(joined, unit) if joined or not texts else None
    if quick is not None:
        return quick, {}
    times, reasons = np.zeros(len(texts), np.int64), {}
    for place, text in enumerate(texts):
        try:
            times[place] = time_ns(text, unit, decimal)
        except ValueError as fault:
            reasons[place] = str(fault)
    return times, reasons


def _quick_times(joined: str, unit: str) -> np.ndarray | None:
    if unit == "iso":
        if _PLAIN_ISO.fullmatch(joined):
            try:
                return np.array(joined.replace("Z", "").split("|")[:-1], "datetime64[ns]").astype(np.int64)
            except ValueError:
                pass
        return None
    plain, places = _PLAIN_EPOCH[unit]
    if not plain.fullmatch(joined):
        return None
    split = [text.partition(".") for text in joined.split("|")[:-1]]
    times = [int(whole + part.ljust(places, "0")) for whole, _, part in split]
    return np.array(times, np.int64) if not times or max(times) < _LATEST_NS else None
