"""Text of people and of other programs, as one line that shows all that is in it. Pure."""

from __future__ import annotations

import unicodedata

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are drawn as nothing."""


def printable(text: str) -> str:
    """The text on one line, without what does not print: controls, escapes, directions of writing, zero widths, half characters.

    Returns:
        Words with one space between them; empty where nothing of the text can be seen.
    """
    seen = "".join(each for each in " ".join(text.split()) if each == " " or unicodedata.category(each)[0] not in "CZ")
    seen = " ".join(seen.split())
    return seen if any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK for each in seen) else ""


def is_name(text: str) -> bool:
    """Whether this can name a machine, a command or a person: it can be seen, all of it, on one line."""
    return bool(text) and printable(text) == text


def cut(text: str, most: int) -> str:
    """The text if it has at most `most` characters, else as many whole words as fit with an ellipsis; a single long word is cut within."""
    if len(text) <= most:
        return text
    head = text[: max(0, most - 2)]
    words = head.rpartition(" ")[0] if text[len(head) : len(head) + 1] != " " else head
    return f"{words.rstrip()} …" if words.strip() else f"{text[: max(0, most - 1)]}…"
