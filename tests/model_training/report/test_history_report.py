"""The report on recordings of any layout: who spoke, the normal band, and the drawn range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_training.evaluation.bundle_scoring import DetectorResult
from model_training.evaluation.history_figures import EvaluatedRecording
from model_training.history import Recording
from model_training.report import small_multiples
from model_training.report.history import alarm_rows, normal_band, speakers

from edgeml.model.manifest import Scaling
from tests.edgeml.contrast import MANIFEST, contrast

ROWS = 100


def evaluated(deviations: list[float], raised: tuple[int, ...] = (40,)) -> EvaluatedRecording:
    alarm = np.zeros(ROWS, bool)
    alarm[40:60] = True
    times = np.arange(ROWS) * 10**9
    values = np.tile(np.array([5.0, 30.0, 2.0, 50.0], np.float32), (ROWS, 1)) + np.arange(ROWS)[:, None] % 2
    none = np.zeros(ROWS, bool)
    recording = Recording("a.csv", times, values, None, None, none, np.zeros(ROWS, np.int32), np.arange(ROWS))
    confidence = np.where(np.arange(ROWS) < 10, np.nan, 0.5).astype(np.float32)
    rows = np.tile(np.array(deviations, np.float16), (ROWS, 1))
    return EvaluatedRecording("a.csv", recording, DetectorResult(confidence, alarm, alarm, raised, {}, confidence, rows), 1.0, 5.0)


@pytest.mark.parametrize(
    ("explains", "deviations", "loud"),
    [
        (True, [0.2, -1.5, 1.1, 9.0], (1, 2)),  # setpoint is context and never speaks
        (True, [0.2, -0.5, float("nan"), 0.0], (1,)),
        (False, [3.5, -2.5, 4.0, 0.0], (2, 0)),
        (False, [1.0, -2.5, 0.0, 0.0], (1,)),
    ],
)
def test_the_channels_of_the_alert_spoke(explains: bool, deviations: list[float], loud: tuple[int, ...]) -> None:
    manifest = contrast(explains=explains, **({} if explains else {"relations": ()})).manifest
    assert speakers(evaluated(deviations), manifest) == [(40, loud)]


def test_an_alarm_lasts_until_it_is_cleared() -> None:
    assert alarm_rows(evaluated([0, 0, 0, 0]), 40) == slice(40, 60)


def test_normal_band_is_that_of_the_manifest_or_of_the_learned_rows() -> None:
    each = evaluated([0, 0, 0, 0])
    assert normal_band(each, MANIFEST)[0].tolist() == [3.5, 6.5]
    learned = contrast(
        scaling=Scaling(kind="baseline", rows=10), columns=(), reference=None, explains=False, relations=(), context=()
    ).manifest
    assert normal_band(each, learned)[0].tolist() == pytest.approx([5.5 - 1.5, 5.5 + 1.5])


def test_long_recordings_are_drawn_as_a_range() -> None:
    values = np.sin(np.arange(10_000) / 50)
    values[5_000], values[100:300] = 9.0, np.nan
    x, lower, upper = small_multiples.envelope(np.arange(10_000), values)
    assert len(x) == small_multiples.MAX_POINTS and np.nanmax(upper) == 9 and np.isnan(lower[25:55]).all()
    few = small_multiples.envelope(np.arange(10), values[:10])
    assert few[1] is few[2] and len(few[0]) == 10


def test_many_channels_are_drawn_with_those_that_spoke(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    channels, times = 40, np.arange(ROWS) * 10**9
    values = np.random.default_rng(0).normal(0, 1, (ROWS, channels))
    values[:, 3] = np.nan
    alarm = np.arange(ROWS) > 60
    drawn = small_multiples.Drawn(
        title="many",
        times=times,
        values=values,
        names=[f"c{number}" for number in range(channels)],
        band=np.tile([-3.0, 3.0], (channels, 1)),
        confidence=np.where(alarm, 0.9, 0.1),
        alarm=alarm,
        truth=None,
        spoke={35: alarm},
        level=0.5,
    )
    path = small_multiples.draw(tmp_path / "a.png", drawn)
    assert path.read_bytes() == small_multiples.draw(tmp_path / "b.png", drawn).read_bytes()
