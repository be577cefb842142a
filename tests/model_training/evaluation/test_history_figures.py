"""Figures on recordings of any layout: what counts as normal, as found and as false."""

from __future__ import annotations

import math

import numpy as np
import pytest
from model_training.evaluation.bundle_scoring import DetectorResult
from model_training.evaluation.history_figures import EvaluatedRecording, HistoryFigures, figures
from model_training.evaluation.history_text import lines_of
from model_training.history import Recording

MINUTE = 60 * 10**9
ROWS = 1_000


def mask(*spans: tuple[int, int]) -> np.ndarray:
    out = np.zeros(ROWS, bool)
    for begin, end in spans:
        out[begin:end] = True
    return out


def evaluated(
    alarm: np.ndarray,
    labels: np.ndarray | None = None,
    events: tuple[tuple[int, int], ...] | None = None,
    excluded: np.ndarray | None = None,
    verdict: np.ndarray | None = None,
    first: int = 100,
) -> EvaluatedRecording:
    """A recording of a row a minute, decided from row `first` on; the confidence is 0.9 in alarm and 0.1 otherwise."""
    times = np.arange(ROWS) * MINUTE
    confidence = np.where(alarm, 0.9, 0.1).astype(np.float32)
    confidence[:first] = np.nan
    raised = tuple(np.flatnonzero(np.diff(np.concatenate([[False], alarm]).astype(int)) == 1).tolist())
    spans = None if events is None else tuple((a * MINUTE, b * MINUTE) for a, b in events)
    recording = Recording(
        "a.csv",
        times,
        np.zeros((ROWS, 1), np.float32),
        labels,
        spans,
        np.zeros(ROWS, bool) if excluded is None else excluded,
        np.zeros(ROWS, np.int32),
        np.arange(ROWS),
    )
    result = DetectorResult(confidence, alarm if verdict is None else verdict, alarm, raised, {"learning": first}, confidence)
    return EvaluatedRecording("a.csv", recording, result, 60.0, 300.0)


def of(*each: EvaluatedRecording) -> HistoryFigures:
    return figures(each, 0.5)


def test_without_labels_every_alarm_is_false() -> None:
    found = of(evaluated(mask((200, 220), (500, 501))))
    assert (found.rows, found.decided, found.counted, found.normal_rows) == (1_000, 900, 900, 900)
    assert (found.alarms, found.false_alarms, found.alarm_rows) == (2, 2, 21) and found.alarm_share == pytest.approx(21 / 900)
    assert found.normal_hours == pytest.approx(15)
    assert found.false_alarms_per_week.estimate == pytest.approx(2 / 15 * 168)
    assert found.false_alarms_per_week.low < found.false_alarms_per_week.estimate < found.false_alarms_per_week.high
    assert found.events == 0 and math.isnan(found.f1) and math.isnan(found.delay_median_rows)


def test_rows_before_the_first_decision_are_not_normal_hours() -> None:
    assert of(evaluated(mask(), first=700)).normal_hours == pytest.approx(5)
    nothing = of(evaluated(mask(), first=ROWS))
    assert nothing.decided == nothing.counted == 0 and math.isnan(nothing.alarm_share) and math.isnan(nothing.false_alarms_per_week.high)


def test_events_are_found_by_an_active_alarm() -> None:
    each = evaluated(mask((200, 220), (310, 330), (650, 720), (900, 910)), events=((300, 400), (500, 550), (700, 750)))
    found = of(each)
    assert (found.events, found.found, found.already_active) == (3, 2, 1)
    assert (found.alarms, found.false_alarms) == (4, 3)  # that of row 650 begins in normal rows
    assert found.delay_median_rows == 10 and found.delay_median_s == 600 and math.isinf(found.delay_p90_rows)
    assert found.normal_rows == 900 - 101 - 51 - 51 and found.found_share.estimate == pytest.approx(2 / 3)
    assert math.isnan(found.f1)
    assert "under an alarm that began before" in dict(lines_of(found.plain()))["events found"]


def test_labels_give_events_and_figures_of_rows() -> None:
    labels = mask((50, 90), (300, 400))
    found = of(evaluated(mask((310, 400)), labels, verdict=mask((310, 420))))
    assert (found.events, found.found) == (2, 1)
    assert found.recall == pytest.approx(90 / 140) and found.precision == pytest.approx(90 / 110)
    assert found.f1 == pytest.approx(2 * 90 / (2 * 90 + 20 + 50))
    assert found.normal_verdict_share == pytest.approx(20 / 800) and found.normal_alarm_share == 0
    assert 0 < found.calibration_error < 0.3


def test_excluded_rows_are_neither_normal_nor_faults() -> None:
    found = of(evaluated(mask((200, 220)), excluded=mask((190, 300))))
    assert (found.alarms, found.false_alarms, found.normal_rows) == (1, 0, 790)
    labelled = of(evaluated(mask((200, 220)), mask((210, 230)), excluded=mask((190, 300))))
    assert labelled.normal_rows == 790 and math.isnan(labelled.recall)


def test_recordings_with_and_without_labels_are_pooled() -> None:
    found = of(evaluated(mask((310, 400)), mask((300, 400))), evaluated(mask((200, 220))))
    assert found.recordings == 2 and found.recall == pytest.approx(0.9) and found.false_alarms == 1
    assert found.normal_hours == pytest.approx(800 / 60 + 15) and found.undecided_reasons == {"learning": 200}


def test_a_long_gap_is_no_normal_time() -> None:
    each = evaluated(mask())
    each.recording.times[500:] += 1_000 * MINUTE
    assert of(each).normal_hours == pytest.approx((899 + 5) / 60)


def test_plain_figures_have_intervals_as_lists() -> None:
    plain = of(evaluated(mask((200, 220)))).plain()
    assert plain["false_alarms_per_week"][0] == pytest.approx(11.2) and len(plain["found_share"]) == 3
