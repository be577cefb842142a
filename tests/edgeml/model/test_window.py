"""The incremental window equals a computation from all rows."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgeml.messages import MISSING, STUCK
from edgeml.model.manifest import View
from edgeml.model.window import Window
from tests.edgeml.tiny import MANIFEST

SPREAD = np.array([[1.0, 1.0], [0.5, 0.8]])
ROWS = np.random.default_rng(2).normal(0, 2, (60, 2)).astype(np.float32)


def plain(rows: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The documented rule, computed simply: a step less than half good is 0; steps before the window repeat its first whole step."""
    columns = []
    for view, spread in zip(MANIFEST.views, SPREAD, strict=True):
        for channel in range(rows.shape[1]):
            steps = []
            for back in range(view.steps - 1, -1, -1):
                end = len(rows) - back * view.every
                if len(rows) >= view.every:
                    end = max(end, view.every)
                span = slice(max(0, end - view.every), max(0, end))
                values = rows[span, channel][good[span, channel]]
                steps.append(values.mean() / spread[channel] if len(values) * 2 >= view.every else 0.0)
            columns.append(np.clip(steps, -8, 8))
    return np.array(columns).T


def test_window_equals_the_reference_for_every_row() -> None:
    window = Window(MANIFEST, SPREAD)
    for i, row in enumerate(ROWS):
        window.push(i, row)
        assert np.allclose(window.features(), plain(ROWS[: i + 1], np.ones((i + 1, 2), bool)), atol=1e-5)
    assert window.start == 60 - 12


def test_faulty_values_are_excluded_from_the_means() -> None:
    codes = (np.random.default_rng(3).random((60, 2)) < 0.3).astype(np.uint8) * MISSING
    window = Window(MANIFEST, SPREAD)
    for i, row in enumerate(ROWS):
        window.push(i, np.where(codes[i] > 0, np.nan, row).astype(np.float32), codes[i])
        assert np.allclose(window.features(), plain(np.where(codes[: i + 1], 0, ROWS[: i + 1]), codes[: i + 1] == 0), atol=1e-5)


def test_fault_counts_for_the_length_of_the_shortest_view() -> None:
    window = Window(MANIFEST, SPREAD)
    window.push(0, ROWS[0], np.array([0, STUCK], np.uint8))
    seen = [window.fault()]
    for i in range(1, 6):
        window.push(i, ROWS[i])
        seen.append(window.fault())
    assert seen == [(1, STUCK)] * 4 + [None] * 2


def test_restart_clears_the_window() -> None:
    window = Window(MANIFEST, SPREAD)
    for i, row in enumerate(ROWS):
        window.push(i, row, np.array([0, STUCK], np.uint8))
    window.restart()
    assert (window.rows, window.start, window.fault()) == (0, None, None)
    window.push(99, ROWS[0])
    assert np.allclose(window.features(), plain(ROWS[:1], np.ones((1, 2), bool)), atol=1e-5)


def test_latest_deviation_is_that_of_the_longest_step() -> None:
    window = Window(MANIFEST, SPREAD)
    for i, row in enumerate(ROWS):
        window.push(i, row)
    assert np.allclose(window.latest, ROWS[-3:].mean(0), atol=1e-6)
    for i in range(2):
        window.push(60 + i, ROWS[i], np.array([0, MISSING], np.uint8))
    assert np.isfinite(window.latest[0]) and np.isnan(window.latest[1])


def test_step_with_exactly_half_of_its_rows_good_counts() -> None:
    manifest = msgspec.structs.replace(MANIFEST, views=(View(every=1, steps=4), View(every=4, steps=2)))
    for faulty, mean in ((0, 2.5), (1, 3.0), (2, 3.5), (3, 0.0), (4, 0.0)):
        window = Window(manifest, np.ones((2, 2)))
        for i in range(8):
            row = np.full(2, i % 4 + 1, np.float32)
            codes = np.array([MISSING if i % 4 < faulty else 0, 0], np.uint8)
            window.push(i, row, codes if codes.any() else None)
        steps = window._rings[1][:8, 0][3::4]
        assert steps.tolist() == [mean, mean], faulty
        assert np.isnan(window.latest[0]) == (faulty > 2)


@pytest.mark.parametrize("value", [-7.9, -8.1, -15.9, -100.0, 7.9, 8.1, 15.9, 100.0])
def test_features_are_clipped_symmetrically(value: float) -> None:
    window = Window(MANIFEST, np.ones((2, 2)))
    for i in range(12):
        window.push(i, np.full(2, value, np.float32))
    assert np.allclose(window.features(), np.clip(value, -8, 8), atol=1e-5)
