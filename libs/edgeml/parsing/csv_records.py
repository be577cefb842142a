"""Lines and cells of CSV text. A record is always one line, so that an unclosed quote invalidates only its own line."""

from __future__ import annotations

import functools
import io
import re
from typing import BinaryIO, NamedTuple

MAX_LINE_BYTES = 65_536
"""Maximum bytes of a line; longer ones are skipped."""
ENCODING = "latin-1"
"""Encoding of lines: one character per byte, so that offsets in the text are offsets in the file and no byte is invalid. Text for people
goes through `readable`."""
_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line without its end.

    Attributes:
        number: from 1.
        start, end: offsets of its first byte and of the first byte after its line ending.
        text: None for a line of more than `MAX_LINE_BYTES` bytes.
    """

    number: int
    start: int
    end: int
    text: str | None


class Lines:
    """Reads the lines of a binary file, which end with LF, CR LF or CR.

    Args:
        file: seekable; it is closed by `close`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek(3 if file.read(3) == _MARK else 0, 0)

    def seek(self, offset: int, number: int) -> None:
        """Continue at a line's first byte, after line `number`."""
        self._file.seek(offset)
        self._text = _Text(self._file)
        self.offset, self.number = offset, number

    def next(self) -> Line | None:
        """Return the next line; None after the last one."""
        found = self.take(1)
        return found[0] if found else None

    def take(self, n: int) -> list[Line]:
        """Return the next n lines; fewer at the end."""
        readline, offset, number = self._text.readline, self.offset, self.number
        found = []
        for _ in range(n):
            whole = readline(MAX_LINE_BYTES)
            if not whole:
                break
            start, offset, number = offset, offset + len(whole), number + 1
            text: str | None = whole.rstrip("\r\n")
            if len(whole) == MAX_LINE_BYTES and text == whole:
                text = None
                while whole and whole[-1] not in "\r\n":
                    whole = readline(MAX_LINE_BYTES)
                    offset += len(whole)
            found.append(Line(number, start, offset, text))
        self.offset, self.number = offset, number
        return found

    def skip(self, n: int) -> int:
        """Skip the next n lines; returns how many there were."""
        readline, done, part = self._text.readline, 0, False
        while done < n:
            whole = readline(MAX_LINE_BYTES)
            self.offset += len(whole)
            if whole and whole[-1] not in "\r\n" and len(whole) == MAX_LINE_BYTES:
                part = True
                continue
            if not whole and not part:
                break
            done, part = done + 1, False
        self.number += done
        return done

    def close(self) -> None:
        self._file.close()


class _Text(io.TextIOWrapper):
    """A text wrapper that leaves the file open when it is deleted."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding=ENCODING, newline="")

    def __del__(self) -> None:
        try:
            self.detach()
        except ValueError:
            pass


def cells(text: str, delimiter: str) -> list[str]:
    """Return the cells of a line.

    Args:
        text: the text of a `Line`.
        delimiter: one character.

    Raises:
        ValueError: a quote is not closed; the message is the reason.
    """
    mark = delimiter_mark(delimiter)
    if '"' not in text:
        return text.split(mark)
    found, at = [], 0
    cell = _cell(mark)
    while (match := cell.match(text, at)) is not None:
        quoted, plain, end = match.groups()
        found.append(plain if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if not end:
            return found
    raise ValueError("a quote in it is not closed, or not where a cell begins and ends")


def delimiter_mark(delimiter: str) -> str:
    """Return a delimiter in the encoding of lines."""
    return delimiter.encode().decode(ENCODING) if delimiter > "\x7f" else delimiter


@functools.cache
def _cell(mark: str) -> re.Pattern[str]:
    end = re.escape(mark)
    return re.compile(rf'(?:[ \t]*"((?:[^"]|"")*)"[ \t]*|((?:(?!{end})[^"])*))({end}|\Z)', re.DOTALL)


def readable(text: str) -> str:
    """Decode a text of `Line` or `cells` as UTF-8, for people."""
    return text if text.isascii() else text.encode(ENCODING, "replace").decode("utf-8", "replace")


def headings(text: str, delimiter: str) -> list[str]:
    """Return the cells of a file's first line, decoded by `readable`, without blanks around them.

    Raises:
        ValueError: see `cells`, or the file is UTF-16.
    """
    if text.startswith(("\xff\xfe", "\xfe\xff")):
        raise ValueError("it is UTF-16; save it as CSV in UTF-8")
    return [readable(cell).strip() for cell in cells(text, delimiter)]


def extra(found: list[str], expected: int) -> bool:
    """Whether a line has more cells than its file has headings, so that its columns are ambiguous. Empty cells at its end do not count."""
    return len(found) > expected and any(cell.strip() for cell in found[expected:])
