"""Lines and cells of CSV text: a record is a line, whatever its quotes say, so that one that is not closed costs its own line only."""

from __future__ import annotations

import functools
import io
import re
from typing import BinaryIO, NamedTuple

LONGEST = 65_536
"""Bytes of a line; what is in a longer one is not read."""
ENCODING = "latin-1"
"""How lines are decoded: a byte a character, so that places in the text are places in the file, and no byte loses a line. What people are
shown goes through `readable`."""
_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line without its end.

    Attributes:
        number: from 1.
        start, end: offsets of its first byte and of the byte behind its end.
        text: None for a line of more than `LONGEST` bytes.
    """

    number: int
    start: int
    end: int
    text: str | None


class Lines:
    """The lines of a binary file, which end with LF, CR LF or CR.

    Args:
        file: seekable; it is closed by `close`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek(3 if file.read(3) == _MARK else 0, 0)

    def seek(self, offset: int, number: int) -> None:
        """Go on at a line's first byte, behind line `number`."""
        self._file.seek(offset)
        self._text = _Text(self._file)
        self.offset, self.number = offset, number

    def next(self) -> Line | None:
        """The next one; None behind the last."""
        found = self.take(1)
        return found[0] if found else None

    def take(self, n: int) -> list[Line]:
        """The next n; fewer at the end."""
        readline, offset, number = self._text.readline, self.offset, self.number
        found = []
        for _ in range(n):
            whole = readline(LONGEST)
            if not whole:
                break
            start, offset, number = offset, offset + len(whole), number + 1
            text: str | None = whole.rstrip("\r\n")
            if len(whole) == LONGEST and text == whole:
                text = None
                while whole and whole[-1] not in "\r\n":
                    whole = readline(LONGEST)
                    offset += len(whole)
            found.append(Line(number, start, offset, text))
        self.offset, self.number = offset, number
        return found

    def skip(self, n: int) -> int:
        """Go on behind the next n lines; gives how many there were."""
        readline, done, part = self._text.readline, 0, False
        while done < n:
            whole = readline(LONGEST)
            self.offset += len(whole)
            if whole and whole[-1] not in "\r\n" and len(whole) == LONGEST:
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
    """Leaves the file open when it is dropped."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding=ENCODING, newline="")

    def __del__(self) -> None:
        try:
            self.detach()
        except ValueError:
            pass


def cells(text: str, delimiter: str) -> list[str]:
    """The cells of a line.

    Args:
        text: as `Line` has it.
        delimiter: one character.

    Raises:
        ValueError: a quote in it is not closed. Its text is the reason.
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
    """A delimiter as it is in the text of lines."""
    return delimiter.encode().decode(ENCODING) if delimiter > "\x7f" else delimiter


@functools.cache
def _cell(mark: str) -> re.Pattern[str]:
    end = re.escape(mark)
    return re.compile(rf'(?:[ \t]*"((?:[^"]|"")*)"[ \t]*|((?:(?!{end})[^"])*))({end}|\Z)', re.DOTALL)


def readable(text: str) -> str:
    """A text of `Line` or `cells` as people wrote it: UTF-8."""
    return text if text.isascii() else text.encode(ENCODING, "replace").decode("utf-8", "replace")


def headings(text: str, delimiter: str) -> list[str]:
    """The cells of a file's first line, readable, without blanks around them.

    Raises:
        ValueError: as `cells`, or the file is UTF-16.
    """
    if text.startswith(("\xff\xfe", "\xfe\xff")):
        raise ValueError("it is UTF-16; save it as CSV in UTF-8")
    return [readable(cell).strip() for cell in cells(text, delimiter)]


def extra(found: list[str], wanted: int) -> bool:
    """Whether a line has more cells than its file has headings: then nobody knows which is which. Empty ones at its end do no harm."""
    return len(found) > wanted and any(cell.strip() for cell in found[wanted:])
