"""Lines and cells of CSV text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from edgeml.parsing.csv_records import MAX_LINE_BYTES, Lines, cells, extra, headings


def lines(data: bytes) -> list[tuple[int, int, int, str | None]]:
    found = Lines(io.BytesIO(data))
    return [tuple(line) for line in iter(found.next, None)]  # type: ignore[misc]


def test_lines_have_numbers_and_offsets() -> None:
    expected = [(1, 3, 8, "a,b"), (2, 8, 11, "1"), (3, 11, 12, ""), (4, 12, 14, "2"), (5, 14, 15, "3")]
    assert lines(b"\xef\xbb\xbfa,b\r\n1\r\n\n2\r3") == expected
    assert lines(b"") == [] and lines(b"\n") == [(1, 0, 1, "")]


@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 2, MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_line_that_is_too_long_is_one_line_without_text(size: int, end: bytes) -> None:
    data = b"a\n" + b"x" * size + end + (b"b\n" if end else b"")
    first, long, *rest = lines(data)
    assert first == (1, 0, 2, "a") and long[:3] == (2, 2, 2 + size + len(end)) and (long[3] is None) == (size >= MAX_LINE_BYTES)
    assert rest == ([(3, len(data) - 2, len(data), "b")] if end else [])
    source = Lines(io.BytesIO(data))
    assert source.skip(99) == 2 + len(rest) == source.number and source.offset == len(data) and source.next() is None


def test_reader_seeks_and_continues(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"".join(b"%d\n" % i for i in range(5000)))
    with path.open("rb") as file:
        source = Lines(file)
        assert source.skip(4321) == 4321
        line = source.next()
        assert line is not None and line.text == "4321" and line.number == 4322
        source.seek(line.start, 4321)
        assert source.next() == line and source.skip(10**6) == 678


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,", ["1", "2", ""]),
        ("", [""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""no""",x', ['say "no"', "x"]),
        (' "1" ,2', ["1", "2"]),
        ('"",""', ["", ""]),
        ('"\0",1', ["\0", "1"]),
    ],
)
def test_line_is_split_into_cells(text: str, expected: list[str]) -> None:
    assert cells(text, ",") == expected


@pytest.mark.parametrize("text", ['"a', 'a"', 'a"b,c', '"a"b,c', '"a""', '1,"2\n', '"'])
def test_unclosed_or_misplaced_quote_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a quote in it is not closed"):
        cells(text, ",")


def test_delimiter_and_headings_may_be_non_ascii() -> None:
    line = lines('Zeit§Temperatur °C§"a§b"\n'.encode())[0][3]
    assert line is not None and headings(line, "§") == ["Zeit", "Temperatur °C", "a§b"]


def test_extra_cells_are_detected() -> None:
    assert not extra(["1", "2"], 2) and not extra(["1", "2", "", " "], 2) and extra(["1", "2", "3"], 2) and not extra(["1"], 2)
