"""Figures from verdicts, alarms and labels; cross-validation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from model_training.evaluation import cross_selection
from model_training.evaluation.figures import Segment, figures, normal_pieces, run_detector
from model_training.evaluation.splits import halves, pieces

from tests.model_training.evaluation.kit import fixed_detector, make_recording


def test_figures_of_perfect_detector() -> None:
    segments = run_detector(fixed_detector(), [make_recording(name=str(i)) for i in range(3)])
    result = figures(segments, [], 0.5)
    assert (result.f1, result.false_alarm_rate, result.missed_alarm_rate) == (1, 0, 0)
    assert result.nab == pytest.approx(100)
    assert (result.delay_median_s, result.episodes, result.detected, result.false_alarms, result.undecided) == (0, 3, 3, 0, 0)
    # The third of five rows above 0.9 makes an alarm pending, which becomes active after 5 s.
    assert result.alarm_delay_median_s == 7
    assert result.hours == pytest.approx(3 * (750 - 400) / 3600)
    assert result.calibration_error == 0


def test_undecided_rows_count_as_negative() -> None:
    recording = make_recording()
    assert recording.anomaly is not None
    confidence = recording.anomaly.astype(np.float32)
    confidence[700:800] = np.nan
    result = figures(run_detector(fixed_detector({"made/1": confidence}), [recording]), [], 0.5)
    assert result.missed_alarm_rate == pytest.approx(100 / 400)
    assert (result.undecided, result.undecided_anomalous) == (100, 100)


def test_false_alarms_and_missed_episodes() -> None:
    confidence = np.zeros(1150, np.float32)
    confidence[450:500] = 1
    confidence[1000:1100] = 1
    result = figures(run_detector(fixed_detector({"made/1": confidence}), [make_recording()]), [], 0.5)
    assert (result.false_alarms, result.episodes, result.detected) == (2, 1, 0)
    assert result.delay_median_s == result.alarm_delay_p90_s == math.inf
    assert result.false_alarms_per_hour == pytest.approx(2 / (350 / 3600))


def test_normal_pieces_exclude_training_rows() -> None:
    assert pieces(4700) == ([slice(2350, 3500), slice(3500, 4650)], [])
    assert pieces(9405) == ([slice(2350, 3500), slice(3500, 4650)], [slice(4700 + 1150 * i, 5850 + 1150 * i) for i in range(4)])
    assert pieces(2400) == ([slice(0, 1150), slice(1150, 2300)], [])
    near, later = normal_pieces([make_recording(rows=4700)])
    assert [len(piece) for piece in (*near, *later)] == [1150, 1150]


def test_halves_alternate_in_natural_order() -> None:
    assert halves(["b/10", "b/2", "a/1"]) == (["a/1", "b/10"], ["b/2"])


def test_cross_validation_reports_held_out_half() -> None:
    recordings = [make_recording(name=str(i)) for i in range(4)]
    first, second = (set(side) for side in halves([recording.full_name for recording in recordings]))

    def run(design: str, good: set[str], seed: int) -> cross_selection.BundleRun:
        evaluated = {
            recording.full_name: np.where(recording.anomaly, 1.0 if recording.full_name in good else 0.6, 0.0)
            for recording in recordings
            if recording.anomaly is not None
        }
        return cross_selection.BundleRun(design, seed, 0.7, 0.5, run_detector(fixed_detector(evaluated), recordings), [])

    runs = [run(design, good, seed) for seed in (1, 2) for design, good in (("one", first), ("other", second))]
    selected = cross_selection.cross_validate([cross_selection.at_level(each, 0.9) for each in runs])
    assert selected.chosen == (("one", 0.9), ("other", 0.9))
    # Each candidate is right on the selecting half and wrong on the other, so both halves are missed.
    assert [seed.f1 for seed in selected.seeds] == [0, 0]
    assert selected.halves == (sorted(first), sorted(second))
    plain = cross_selection.cross_validate(runs, levels=(0.5, 0.9)).plain()
    assert (plain["candidates"], plain["mean"]["f1"], plain["spread"]["f1"]) == (4, 1, 0)


def test_cross_validation_reports_mean_and_spread() -> None:
    recordings = [make_recording(name=str(i)) for i in range(2)]

    def run(seed: int, right: bool) -> cross_selection.BundleRun:
        result = {r.full_name: (r.anomaly if right else np.ones(1150)).astype(np.float32) for r in recordings if r.anomaly is not None}
        return cross_selection.BundleRun("one", seed, 0.5, 0.5, run_detector(fixed_detector(result), recordings), [])

    plain = cross_selection.cross_validate([run(1, True), run(2, False)]).plain()
    assert plain["mean"]["false_alarm_rate"] == pytest.approx(0.5)
    assert plain["spread"]["false_alarm_rate"] == pytest.approx(math.sqrt(0.5))


def test_figures_exclude_unlabelled_recordings() -> None:
    recording = make_recording()
    judged = fixed_detector()(recording)
    bare = Segment(recording.__class__(**{**recording.__dict__, "anomaly": None, "changepoint": None}), judged)
    assert figures([bare], [], 0.5).recordings == 0


def test_calibration_error_excludes_calibration_recordings() -> None:
    one, other = make_recording(name="1"), make_recording(name="2")
    assert one.anomaly is not None
    evaluated = {"made/1": one.anomaly.astype(np.float32), "made/2": np.where(one.anomaly, 0.5, 0.5).astype(np.float32)}
    segments = run_detector(fixed_detector(evaluated), [one, other])
    assert figures(segments, [], 0.9).calibration_error == pytest.approx(0.2, abs=1e-6)
    apart = [segments[0], replace(segments[1], calibrated=True)]
    assert figures(apart, [], 0.9).calibration_error == 0


def test_normal_running_counts_once() -> None:
    recordings = [make_recording(name=str(i)) for i in range(4)]
    normal = [make_recording(name=str(i), onset=0, end=0) for i in range(2)]
    first, second = (set(side) for side in halves([recording.full_name for recording in recordings]))

    def run(design: str, good: set[str]) -> cross_selection.BundleRun:
        evaluated = {r.full_name: r.anomaly * (r.full_name in good) for r in recordings if r.anomaly is not None}
        quiet = {r.full_name: np.full(1150, float(design == "one")) for r in normal}
        return cross_selection.BundleRun(
            design, 1, 0.5, 0.5, run_detector(fixed_detector(evaluated), recordings), run_detector(fixed_detector(quiet), normal)
        )

    result = cross_selection.cross_validate([run("one", first), run("other", second)]).seeds[0]
    assert (result.normal_rows, result.normal_false_alarm_rate) == (1500, 0.5)
