"""Text that came from outside, made fit for a log, a terminal and a message. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

CUT = " …"
"""Ends a text that was cut."""
_HARMLESS = "\u00ad\u200c\u200d"
"""Format characters that scripts and emoji need and that move nothing on a terminal."""
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing."""
_ESCAPED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))

V = TypeVar("V")


def printable(text: str, keep: str = "") -> str:
    r"""The text with control characters, bidirectional marks and halves of surrogate pairs as `\xNN` or `\uNNNN`.

    Args:
        keep: characters to leave as they are, such as the line feeds of a traceback.
    """
    if text.isprintable():
        return text
    return "".join(_escape(one) if unicodedata.category(one) in _ESCAPED and one not in keep + _HARMLESS else one for one in text)


def visible(text: str) -> str:
    """The text on one line, without what does not print: controls, escapes, directions of writing, zero widths, half characters.

    Returns:
        Words with one space between them; empty where nothing of the text can be seen.
    """
    seen = "".join(each for each in " ".join(text.split()) if each == " " or unicodedata.category(each)[0] not in "CZ")
    seen = " ".join(seen.split())
    return seen if any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK for each in seen) else ""


def is_name(text: str) -> bool:
    """Whether this can name a machine, a command or a person: it can be seen, all of it, on one line."""
    return bool(text) and visible(text) == text


def one_line(text: str, most: int) -> str:
    """`printable`, white space collapsed, at most `most` bytes as `fit` counts them."""
    return fit(printable(" ".join(text.split())), most)


def size(text: str) -> int:
    """Bytes of the text in a JSON message, without its quotation marks. Half a character is counted as it will be escaped."""
    return len(msgspec.json.encode(printable(text))) - 2


def fit(text: str, most: int) -> str:
    """The text in at most `most` bytes of JSON; one that is longer is cut, at a space where one is near, and ends with `CUT`."""
    if 6 * len(text) <= most or size(text) <= most:
        return text
    room = most - len(CUT.encode())
    used = end = 0
    for one in text:
        used += size(one)
        if used > room:
            break
        end += 1
    space = text.rfind(" ", 0, end)
    return text[: space if space > end // 2 else end].rstrip() + CUT


def fit_end(text: str, most: int) -> str:
    """As `fit`, but what is cut is the beginning: the latest of several sentences counts most."""
    if 6 * len(text) <= most or size(text) <= most:
        return text
    room, begin = most - len(CUT.encode()), len(text)
    while begin and (room := room - size(text[begin - 1])) >= 0:
        begin -= 1
    space = text.find(" ", begin)
    return CUT.lstrip() + text[space if 0 <= space < begin + (len(text) - begin) // 2 else begin :]


def fit_all(texts: Iterable[str], most: int, each: int) -> tuple[str, ...]:
    """As many of the texts as fit into `most` bytes of a JSON list, each in at most `each`; a last one counts those left out."""
    given = [one_line(text, each) for text in texts]
    kept: list[str] = []
    left = most
    for number, text in enumerate(given):
        rest = f"and {len(given) - number} more; see the log"
        reserve = 0 if number == len(given) - 1 else len(rest) + 3
        left -= size(text) + 3
        if left < reserve:
            return (*kept, rest)
        kept.append(text)
    return tuple(kept)


def fit_items(items: Mapping[str, V], most: int) -> dict[str, V]:
    """As many of the items, in their order, as fit into `most` bytes of a JSON object."""
    kept: dict[str, V] = {}
    for key, value in items.items():
        most -= size(key) + len(msgspec.json.encode(value)) + 4
        if most < 0:
            break
        kept[key] = value
    return kept


def _escape(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
