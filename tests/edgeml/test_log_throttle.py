from __future__ import annotations

import logging

import pytest

from edgeml.log_throttle import REPEAT_S, RateLimitedLog


def test_lines_of_a_kind_are_limited_and_omitted_ones_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limited = RateLimitedLog(logging.getLogger("limited"), lambda: now, burst=3)
    for number in range(100):
        limited.warning("message %d of %s", number, f"sender {number}")
    limited.error("another kind")
    assert [each.getMessage() for each in caplog.records] == [*(f"message {n} of sender {n}" for n in range(3)), "another kind"]
    now = REPEAT_S
    for _ in range(5):
        limited.warning("message %d of %s", 7, "x")
    assert caplog.messages[4:] == ["message 7 of x (97 more lines of this kind were suppressed)", "message 7 of x", "message 7 of x"]
    now = 3 * REPEAT_S
    limited.warning("message %d of %s", 8, "x")
    limited.info("another kind")
    assert caplog.messages[7:] == ["message 8 of x (2 more lines of this kind were suppressed)"]
