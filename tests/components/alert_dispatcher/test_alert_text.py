"""2: the sentence for the operator."""

from __future__ import annotations

import math

import pytest

from alert_dispatcher.alert_text import deviation_text, duration, why
from edgeml.alarms.alarm_policy import Alarm
from edgeml.timestamps import SECOND


def alarm(state: str, **changes) -> Alarm:
    return Alarm(
        **{"id": "x", "asset": "pump-1", "model": "skab", "state": state, "pending_at": 0, "confidence": 0.97, "peak": 0.99, **changes}
    )


@pytest.mark.parametrize(
    "deviations, text",
    [
        ((-6.2, 4.1), "flow 6.2σ below normal, pressure 4.1σ above"),
        ((3.0, -12.5), "pressure 12.5σ below normal, flow 3.0σ above"),
        ((1.0, -2.0), "no channel alone is far from normal, farthest pressure 2.0σ below"),
        ((math.nan, 5.0), "pressure 5.0σ above normal"),
        ((math.inf, 1.0), "flow over 100σ above normal"),
        ((math.nan, math.nan), ""),
    ],
)
def test_2_channels_that_deviate(deviations, text):
    assert deviation_text(("flow", "pressure"), deviations) == text


def test_2_at_most_three_channels():
    assert deviation_text("abcde", (5, 6, 7, 8, 9)) == "e 9.0σ above normal, d 8.0σ above, c 7.0σ above"


@pytest.mark.parametrize(
    "case, text",
    [
        (alarm("pending"), "pump-1: a 5.0σ above normal; confidence 97 % since 1970-01-01T00:01:05.000Z"),
        (alarm("active", raised_at=1), "pump-1: a 5.0σ above normal; confidence 97 % for 1 min 5 s"),
        (alarm("acknowledged"), "pump-1: a 5.0σ above normal; acknowledged, confidence 97 % for 1 min 5 s"),
        (alarm("cleared", raised_at=1), "pump-1: back to normal; confidence 97 %, at most 99 % in 1 min 5 s"),
        (alarm("cleared"), "pump-1: did not last, no alarm; confidence 97 % after 1 min 5 s, at most 99 %"),
    ],
)
def test_2_each_state(case, text):
    assert why(case, 65 * SECOND, "a 5.0σ above normal") == text


@pytest.mark.parametrize(
    "case, text",
    [
        (alarm("active", raised_at=1), "pump-1: a 5.0σ above normal; confidence 97 %"),
        (alarm("acknowledged"), "pump-1: a 5.0σ above normal; acknowledged, confidence 97 %"),
        (alarm("cleared", raised_at=1), "pump-1: back to normal; confidence 97 %, at most 99 %"),
        (alarm("cleared"), "pump-1: did not last, no alarm; confidence 97 %, at most 99 %"),
    ],
)
def test_2_no_duration_of_0_s(case, text):
    assert why(case, case.pending_at, "a 5.0σ above normal") == text


@pytest.mark.parametrize("seconds, text", [(0.25, "0.2 s"), (59, "59 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")])
def test_2_durations(seconds, text):
    assert duration(seconds) == text
