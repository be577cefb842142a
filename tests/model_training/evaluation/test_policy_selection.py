"""The selection of an alarm policy on one half of the recordings."""

from __future__ import annotations

import numpy as np
import pytest
from model_training.evaluation import policy_selection
from model_training.evaluation.bundle_scoring import DetectorResult, apply_policy
from model_training.evaluation.figures import Segment, figures
from model_training.evaluation.policy_selection import CANDIDATES, DEFAULT, Candidate, Evidence
from model_training.evaluation.recordings import Recording

from .kit import make_recording


def scored(recording: Recording, spike_at: int | None = None) -> DetectorResult:
    """Confidence 0.95 from ten rows after the onset on, and a spike of two rows in normal running."""
    assert recording.anomaly is not None
    confidence = np.where(np.roll(recording.anomaly, 10) & recording.anomaly, 0.95, 0.1).astype(np.float32)
    if spike_at is not None:
        confidence[spike_at : spike_at + 2] = 0.95
    confidence[:400] = np.nan
    return apply_policy(recording, confidence, 0.5)


@pytest.fixture(name="evidence")
def two_recordings() -> Evidence:
    one, other = make_recording(name="1"), make_recording(name="2", onset=600)
    return Evidence([{"1": Segment(one, scored(one, spike_at=450)), "2": Segment(other, scored(other))}])


def test_default_policy_has_the_defaults_of_alert_dispatcher() -> None:
    from edgeml.alarms.alarm_policy import PolicyOptions

    assert DEFAULT.options() == PolicyOptions() and DEFAULT in CANDIDATES


def test_counts_agree_with_the_figures_of_an_evaluation(evidence: Evidence) -> None:
    segment = make_recording(name="1")
    whole = figures([Segment(segment, scored(segment, spike_at=450))], [], 0.5)
    per_hour, delay = evidence.policy(DEFAULT, ["1"])
    assert (per_hour, delay) == (whole.false_alarms_per_hour, whole.alarm_delay_median_s)
    assert evidence.level(0.5, ["1"]) == (whole.f1, whole.false_alarm_rate)


def test_selection_is_fast_where_nothing_is_false_and_slow_where_something_is(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = Candidate(0.9, 1, 1, 0), DEFAULT
    monkeypatch.setattr(policy_selection, "CANDIDATES", (quick, slow))
    assert evidence.select(["2"])[0] == quick
    assert evidence.select(["1"])[0] == slow
    assert evidence.better([["2"], ["2"]]) == [quick] and evidence.better([["1"], ["2"]]) == []


def test_table_has_selection_and_confirmation(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_selection, "CANDIDATES", (DEFAULT,))
    text = policy_selection.select_crosswise(evidence, ["1", "2"], [], 0.7)
    assert "The first half selects 3 of 5 results at 0.9" in text
    assert "| median delay after the policy |" in text
