"""Tables in CSV: delimiter, decimal sign and headings are found in the first lines."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edgeml.parsing.csv_records import Line, Lines, cells, delimiter_mark, extra
from edgeml.parsing.readings import BLANKS, numbers
from model_training.history.records import HistoryError
from model_training.history.table import Column, Table
from model_training.history.times import form_of

DELIMITERS = ",;\t|"
HEAD_ROWS = 2_000
"""Rows in which the delimiter, the decimal sign and the kinds of the columns are found."""
CHUNK = 20_000
SWITCHES = {"true": "1", "false": "0", "on": "1", "off": "0", "yes": "1", "no": "0"}
"""Words that count as numbers, in a column of such words only."""
_SEPARATOR = re.compile(r"sep=.", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
_POINT = re.compile(r"[+-]?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?")

Keep = Callable[[str, list[str]], bool]
"""Whether the texts of a column are kept, by its heading and its first cells."""


def read_csv(file: str, content: bytes, keep: Keep, delimiter: str = "", decimal: str = "") -> Table:
    """Read a CSV file.

    Args:
        file: its name, for errors.
        delimiter, decimal: empty: by content.

    Raises:
        HistoryError: no headings, or no rows that fit them.
    """
    lines = Lines(io.BytesIO(content))
    first = _heading_line(file, lines)
    head = lines.take(HEAD_ROWS)
    sample = [first.text or "", *(line.text for line in head[:50] if line.text and line.text.strip(BLANKS))]
    delimiter = delimiter or find_delimiter(sample)
    headings = _headings(file, first, delimiter)
    reader = _Rows(file, headings, delimiter)
    head_rows = reader.rows(head)
    _check_headings(file, headings, first.number)
    columns = [Collector(heading, [row[at] for row in head_rows], keep) for at, heading in enumerate(headings)]
    decimal = decimal or find_decimal(head_rows)
    for rows in _chunks(head_rows, reader, lines):
        for collector, texts in zip(columns, zip(*rows, strict=True) if rows else (), strict=False):
            collector.add(texts, decimal)
    if not reader.lines:
        raise HistoryError(f"{file} has no rows under its headings; remove the file or copy it again")
    if reader.wrong > len(reader.lines):
        raise HistoryError(
            f"{file}: {reader.wrong} of {reader.wrong + len(reader.lines)} rows do not have the {len(headings)} cells of the headings, "
            f"such as line {reader.first_wrong}; state the `delimiter` in the spec, or correct the file"
        )
    notes = []
    if reader.wrong:
        notes.append(
            f"dropped {reader.wrong} of {reader.count} rows, without the {len(headings)} cells of the headings, the first in line "
            f"{reader.first_wrong}"
        )
    return Table(
        file,
        {heading: column.column(reader.lines) for heading, column in zip(headings, columns, strict=True)},
        np.array(reader.lines, np.int64),
        np.array(reader.numbers, np.int64),
        ((file, reader.count),),
        np.zeros(len(reader.lines), np.int32),
        notes=tuple(notes),
    )


class _Rows:
    """Splits lines into rows, and counts.

    Attributes:
        lines, numbers: number of the line, and of the row, of each row that fits the headings.
        count: number of rows, of any width.
        wrong, first_wrong: number of rows that do not fit, and the line of the first one.
    """

    def __init__(self, file: str, headings: list[str], delimiter: str) -> None:
        self.file, self.width, self.delimiter = file, len(headings), delimiter
        self.lines: list[int] = []
        self.numbers: list[int] = []
        self.count = self.wrong = self.first_wrong = 0

    def rows(self, lines: list[Line]) -> list[list[str]]:
        mark, width, found = delimiter_mark(self.delimiter), self.width, []
        for line in lines:
            text = line.text
            if text is not None and not text.strip(BLANKS):
                continue
            number = self.count
            self.count += 1
            try:
                row = [] if text is None else text.split(mark) if '"' not in text else cells(text, self.delimiter)
            except ValueError:
                row = []
            if len(row) != width:
                if len(row) < width or extra(row, width):
                    self.wrong += 1
                    self.first_wrong = self.first_wrong or line.number
                    continue
                row = row[:width]
            found.append(row)
            self.lines.append(line.number)
            self.numbers.append(number)
        return found


class Collector:
    """Collects one column."""

    def __init__(self, heading: str, head: list[str], keep: Keep) -> None:
        head = [_decoded(cell) for cell in head]
        self.keep = keep(heading, head)
        filled = [cell for cell in head if cell.strip()]
        self.switch = bool(filled) and all(cell.strip().lower() in SWITCHES for cell in filled)
        filled = _numbered(filled) if self.switch else filled
        _, wrong = numbers(filled)
        _, wrong_too = numbers(filled, ",") if wrong else (None, wrong)
        self.numeric = not filled or min(len(wrong), len(wrong_too)) < len(filled) / 2
        self.texts: list[str] = []
        self.values: list[np.ndarray] = []
        self.text_cells, self.first = 0, (-1, "")
        self.seen = 0

    def add(self, texts: tuple[str, ...], decimal: str) -> None:
        if self.keep:
            self.texts += texts if all(map(str.isascii, texts)) else map(_decoded, texts)
        if self.numeric:
            texts = tuple(_numbered(texts)) if self.switch else texts
            values, wrong = numbers(texts, decimal)
            self.values.append(values)
            if wrong and not self.text_cells:
                at = min(wrong)
                self.first = (self.seen + at, _decoded(texts[at]))
            self.text_cells += len(wrong)
        self.seen += len(texts)

    def column(self, lines: Sequence[int], place: str = "line") -> Column:
        """The column.

        Args:
            lines: number of the line (or row: `place`) of each cell.
        """
        example = f"{place} {lines[self.first[0]]} has {self.first[1].strip()[:40]!r}" if self.text_cells else ""
        values = np.concatenate(self.values) if self.values else None
        return Column(self.texts if self.keep else None, values, self.text_cells, example)


def _numbered(texts: Sequence[str]) -> list[str]:
    """Words for on and off as numbers."""
    return [SWITCHES.get(text.strip().lower(), text) for text in texts]


def _chunks(head: list[list[str]], reader: _Rows, lines: Lines) -> Iterator[list[list[str]]]:
    yield head
    while chunk := lines.take(CHUNK):
        yield reader.rows(chunk)


def _heading_line(file: str, lines: Lines) -> Line:
    """The first line that is neither empty, nor a comment, nor `sep=;`, which spreadsheets write."""
    while (line := lines.next()) is not None:
        if line.text is None or line.text.startswith(("\xff\xfe", "\xfe\xff")):
            raise HistoryError(f"{file}, line {line.number}, is too long or in UTF-16; save the table as CSV in UTF-8")
        if line.text.strip(BLANKS) and not line.text.lstrip(BLANKS).startswith("#") and not _SEPARATOR.fullmatch(line.text):
            return line
    raise HistoryError(f"{file} is empty; remove the file or copy it again")


def find_delimiter(sample: list[str]) -> str:
    """The delimiter with the most cells, the same number in nearly all lines."""
    best, most = ",", 1
    for delimiter in DELIMITERS:
        widths = []
        for text in sample:
            try:
                widths.append(len(cells(text, delimiter)))
            except ValueError:
                continue
        width = widths[0] if widths else 0
        if width > most and sum(each >= width for each in widths) >= 0.8 * len(sample):
            best, most = delimiter, width
    return best


def _headings(file: str, line: Line, delimiter: str) -> list[str]:
    try:
        found = [_decoded(cell).strip() for cell in cells(line.text or "", delimiter)]
    except ValueError as fault:
        raise HistoryError(f"{file}, line {line.number}: {fault}; correct the line of headings") from None
    while len(found) > 1 and not found[-1]:
        found.pop()
    return [heading or f"column {at}" for at, heading in enumerate(found, 1)]


def _check_headings(file: str, headings: list[str], line: int) -> None:
    if all(form_of(heading) or _is_number(heading) for heading in headings):
        raise HistoryError(f"{file}, line {line}, has no headings but numbers or times; write the names of the columns into the first line")
    twice = next((heading for at, heading in enumerate(headings) if heading in headings[:at]), None)
    if twice is not None:
        raise HistoryError(f"{file} has two columns {twice!r}; rename one of them")


def _is_number(heading: str) -> bool:
    return bool(heading) and not heading.isalpha() and not numbers([heading])[1]


def find_decimal(rows: list[list[str]]) -> str:
    """`,` if cells are numbers with a decimal comma, and none has a decimal point."""
    comma = 0
    for row in rows:
        for cell in row:
            plain = cell.strip()
            if _POINT.fullmatch(plain):
                return "."
            comma += _COMMA.fullmatch(plain) is not None
    return "," if comma else "."


def _decoded(cell: str) -> str:
    """A cell as text: UTF-8, else Latin-1."""
    if cell.isascii():
        return cell
    try:
        return cell.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return cell
