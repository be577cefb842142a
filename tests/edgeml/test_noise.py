from __future__ import annotations

import logging

import pytest

from edgeml.noise import REPEAT_S, RateLimited
from edgeml.printable import cut, is_name, printable


def test_lines_of_a_kind_are_limited_and_what_is_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limited = RateLimited(logging.getLogger("limited"), lambda: now, burst=3)
    for number in range(100):
        limited.warning("message %d of %s", number, f"sender {number}")
    limited.error("another kind")
    assert [each.getMessage() for each in caplog.records] == [*(f"message {n} of sender {n}" for n in range(3)), "another kind"]
    now = REPEAT_S
    for _ in range(5):
        limited.warning("message %d of %s", 7, "x")
    assert caplog.messages[4:] == ["message 7 of x (97 more of this kind were not logged)", "message 7 of x", "message 7 of x"]
    now = 3 * REPEAT_S
    limited.warning("message %d of %s", 8, "x")
    limited.info("another kind")
    assert caplog.messages[7:] == ["message 8 of x (2 more of this kind were not logged)"]


@pytest.mark.parametrize(("text", "wanted"), [
    ("Ada", "Ada"), ("  Ada \n Lovelace\t", "Ada Lovelace"), ("Zoë Müller-李", "Zoë Müller-李"), ("\x1b[31mAda\x07", "[31mAda"),
    ("A\u202edA\u200b", "AdA"), ("\u200b\u200d\ufeff", ""), ("\u3164\u2800", ""), ("\u0301", ""), ("\ud800", ""), ("\u2028", ""), ("", ""),
    ("\U000e0041", ""), ("🙂", "🙂"), ("a \u200b b", "a b"),
])
def test_what_does_not_print_is_left_out(text: str, wanted: str) -> None:
    assert printable(text) == wanted
    assert is_name(text) is (text == wanted != "")


@pytest.mark.parametrize(("text", "most", "wanted"), [
    ("one two three", 13, "one two three"), ("one two three", 12, "one two …"), ("one two three", 9, "one two …"),
    ("one two three", 8, "one …"),
    ("abcdefgh", 5, "abcd…"), ("", 3, ""), ("one two", 1, "…"), ("a  b c", 5, "a …"),
])
def test_a_text_is_cut_between_words(text: str, most: int, wanted: str) -> None:
    assert cut(text, most) == wanted and len(cut(text, most)) <= most
