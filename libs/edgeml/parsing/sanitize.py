"""Sanitizes untrusted text for a log, a terminal and a message. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

CUT = " …"
"""Suffix of a truncated text."""
_HARMLESS = "\u00ad\u200c\u200d"
"""Format characters that scripts and emoji need, without effect on a terminal."""
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are invisible."""
_ESCAPED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))

V = TypeVar("V")


def printable(text: str, keep: str = "") -> str:
    r"""Escape control characters, bidirectional marks and halves of surrogate pairs as `\xNN` or `\uNNNN`.

    Args:
        keep: characters to leave unescaped, such as the line feeds of a traceback.
    """
    if text.isprintable():
        return text
    return "".join(_escape(one) if unicodedata.category(one) in _ESCAPED and one not in keep + _HARMLESS else one for one in text)


def visible(text: str) -> str:
    """Remove invisible characters: controls, escapes, bidirectional marks, zero widths, halves of surrogate pairs.

    Returns:
        One line of words with one space between them; empty if nothing of the text is visible.
    """
    seen = "".join(each for each in " ".join(text.split()) if each == " " or unicodedata.category(each)[0] not in "CZ")
    seen = " ".join(seen.split())
    return seen if any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK for each in seen) else ""


def is_name(text: str) -> bool:
    """Whether this can be the name of an asset, a command or a person: one line of visible characters."""
    return bool(text) and visible(text) == text


def one_line(text: str, limit: int) -> str:
    """Apply `printable`, collapse white space, and truncate to `limit` bytes as `fit` does."""
    return fit(printable(" ".join(text.split())), limit)


def size(text: str) -> int:
    """Return the bytes of the text in a JSON message, without quotation marks. Half of a surrogate pair counts as its escape."""
    return len(msgspec.json.encode(printable(text))) - 2


def fit(text: str, limit: int) -> str:
    """Truncate the text to `limit` bytes of JSON, at a space if one is near; a truncated text ends with `CUT`."""
    if 6 * len(text) <= limit or size(text) <= limit:
        return text
    room = limit - len(CUT.encode())
    used = end = 0
    for one in text:
        used += size(one)
        if used > room:
            break
        end += 1
    space = text.rfind(" ", 0, end)
    return text[: space if space > end // 2 else end].rstrip() + CUT


def fit_end(text: str, limit: int) -> str:
    """Truncate as `fit`, but at the beginning: the latest of several sentences is the most important one."""
    if 6 * len(text) <= limit or size(text) <= limit:
        return text
    room, begin = limit - len(CUT.encode()), len(text)
    while begin and (room := room - size(text[begin - 1])) >= 0:
        begin -= 1
    space = text.find(" ", begin)
    return CUT.lstrip() + text[space if 0 <= space < begin + (len(text) - begin) // 2 else begin :]


def fit_all(texts: Iterable[str], limit: int, each: int) -> tuple[str, ...]:
    """Return as many of the texts as fit into `limit` bytes of a JSON list, each in at most `each`; the last one
    counts the omitted ones."""
    lines = [one_line(text, each) for text in texts]
    kept: list[str] = []
    left = limit
    for number, text in enumerate(lines):
        rest = f"and {len(lines) - number} more; see the log"
        reserve = 0 if number == len(lines) - 1 else len(rest) + 3
        left -= size(text) + 3
        if left < reserve:
            return (*kept, rest)
        kept.append(text)
    return tuple(kept)


def fit_items(items: Mapping[str, V], limit: int) -> dict[str, V]:
    """Return as many of the items, in their order, as fit into `limit` bytes of a JSON object."""
    kept: dict[str, V] = {}
    for key, value in items.items():
        limit -= size(key) + len(msgspec.json.encode(value)) + 4
        if limit < 0:
            break
        kept[key] = value
    return kept


def _escape(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
