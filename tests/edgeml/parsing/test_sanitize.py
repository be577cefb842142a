"""Untrusted text in a log, on a terminal and in a message."""

from __future__ import annotations

import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeml.parsing.sanitize import CUT, fit, fit_all, fit_end, fit_items, is_name, one_line, printable, size, visible
from edgeml.runtime.main import LogFormatter

ANY = st.text(st.characters(), max_size=400)


@given(ANY, st.integers(8, 300))
def test_text_fits_in_encoded_bytes_and_only_longer_text_is_truncated(text, most):
    for cut in (fit(printable(text), most), fit_end(printable(text), most), one_line(text, most)):
        assert len(msgspec.json.encode(cut)) - 2 <= most
    if size(text) <= most:
        assert fit(printable(text), most) == fit_end(printable(text), most) == printable(text)


@pytest.mark.parametrize(
    ("text", "most", "cut"),
    [
        ("the flow is below normal", 20, "the flow is …"),
        ("äöüäöüäöüäöü", 12, "äöüä …"),
        ('"' * 20, 14, '"' * 5 + CUT),
        ("\x1b[31m" * 4, 15, "\\x1b[31m\\" + CUT),
    ],
)
def test_text_is_truncated_at_a_near_space_and_marked(text, most, cut):
    assert one_line(text, most) == cut


def test_truncated_note_keeps_its_latest_sentences():
    assert fit_end("seen by Ada; the command was refused; it was stopped", 24) == "… it was stopped"


@pytest.mark.parametrize("text", ["\x1b[2J", "a\rb", "\x9b1m", "\u202eexe", "\u2066x", "\ud800", "\u2028", "\x00", "\ufeff", "\x7f"])
def test_cursor_movements_are_escaped(text):
    shown = printable(text)
    assert shown.isprintable() and shown != text and "\\" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada", "Ada"),
        ("  Ada \n Lovelace\t", "Ada Lovelace"),
        ("Zoë Müller-李", "Zoë Müller-李"),
        ("\x1b[31mAda\x07", "[31mAda"),
        ("A\u202edA\u200b", "AdA"),
        ("\u200b\u200d\ufeff", ""),
        ("\u3164\u2800", ""),
        ("\u0301", ""),
        ("\ud800", ""),
        ("\u2028", ""),
        ("", ""),
        ("\U000e0041", ""),
        ("🙂", "🙂"),
        ("a \u200b b", "a b"),
    ],
)
def test_invisible_characters_are_removed(text: str, expected: str) -> None:
    assert visible(text) == expected
    assert is_name(text) is (text == expected != "")


def test_scripts_and_emoji_are_unchanged():
    for text in ("Pümpe №1 насос 泵", "می\u200cخواهم", "👩\u200d🔧", "10\u00a0°C"):
        assert printable(text) == text


@given(st.lists(ANY, max_size=30), st.integers(60, 600))
def test_faults_that_do_not_fit_are_counted(texts, most):
    kept = fit_all(texts, most, 100)
    assert len(msgspec.json.encode(kept)) <= most + 2
    if len(kept) < len(texts) or (kept and kept[-1].startswith("and ") and kept[-1] != one_line(texts[-1], 100)):
        assert kept[-1] == f"and {len(texts) - len(kept) + 1} more; see the log"


@given(st.dictionaries(ANY, st.integers(0, 10**9), max_size=30), st.integers(0, 600))
def test_items_fit(items, most):
    kept = fit_items({printable(key): value for key, value in items.items()}, most)
    assert len(msgspec.json.encode(kept)) <= most + 2


def test_log_record_is_one_line_without_terminal_escapes():
    formatter = LogFormatter("%(levelname)s %(message)s")
    try:
        raise ValueError("\x1b[31m")
    except ValueError as fault:
        record = logging.LogRecord("x", logging.WARNING, "", 0, "by %s", ("Ada\n\x1b[2JERROR x: all is well",), (type(fault), fault, None))
    line, *trace = formatter.format(record).splitlines()
    assert line == "WARNING by Ada\\x0a\\x1b[2JERROR x: all is well"
    assert trace == ["ValueError: \\x1b[31m"]
