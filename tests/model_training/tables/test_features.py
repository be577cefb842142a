"""Inputs as on a device, scaling, stretched copies, folds of whole units."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from model_training.tables import augmentation, calibration, features, manifest, public_data, split
from model_training.tables import spec as specs
from model_training.tables import table as tables
from model_training.tables.table import Table

from edgeml.messages import GOOD
from edgeml.model.bundle import assemble
from edgeml.model.manifest import Manifest
from edgeml.model.scorer import AssetScorer
from tests.model_training.tables.kit import request, spec, table
from tests.model_training.tables.synthetic_engines import write

LIVES = (150, 180, 120, 200)
RNG = np.random.default_rng(0)


@pytest.fixture
def engines(tmp_path: Path) -> tuple[Table, Manifest]:
    write(tmp_path / "cmapss", LIVES, (31, 29, 140), (60, 90, 10))
    life = specs.load(Namespace(), public_data.DEFAULT["regression"])
    made = tables.build(public_data.load("cmapss", tmp_path, request(tmp_path)).train, life, False)
    return made, manifest.build(made, life, calibration.condition(made, life))


class Keeps:
    """An engine that records its inputs."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def run(self, inputs: np.ndarray) -> float:
        self.inputs.append(inputs.copy())
        return 60.0


def device_inputs(made: Table, template: Manifest) -> np.ndarray:
    kept = Keeps()
    for unit in np.unique(made.unit):
        rows = made.values[made.unit == unit]
        times = np.arange(1, len(rows) + 1) * round(template.interval_s * 1e9)
        AssetScorer(assemble(template, b"no network"), kept).feed(times, rows, np.full(rows.shape, GOOD, np.uint8))
    return np.array(kept.inputs)


def test_series_equal_device_inputs(engines: tuple[Table, Manifest]) -> None:
    made, template = engines
    seen = features.build(template, made)
    assert seen.x.shape == (sum(life - 29 for life in LIVES), 6, 42)
    assert np.array_equal(seen.x, device_inputs(made, template))
    assert seen.target[seen.unit == 2].tolist() == list(range(120 - 30, -1, -1))


def test_independent_rows_equal_device_inputs() -> None:
    made = table(a=RNG.normal(5, 2, 60).tolist(), b=RNG.normal(0, 1e4, 60).tolist(), y=[at % 4 for at in range(60)])
    template = manifest.build(made, spec(target="y"), calibration.condition(made, spec(target="y", above=2)))
    seen = features.build(template, made)
    assert seen.x.shape == (60, 1, 2) and np.abs(seen.x).max() <= 1
    rows = np.stack([device_inputs(made.rows(np.array([at])), template)[0] for at in range(60)])
    assert np.array_equal(seen.x, rows)


def test_rows_with_missing_values_in_the_shortest_view_have_no_input() -> None:
    x = RNG.normal(0, 1, 90).tolist()
    x[40] = None  # type: ignore[call-overload]
    options = {"group": "u", "order": "t"}
    made = table(options=options, u=[at // 30 for at in range(90)], t=list(range(90)), x=x, y=x[::-1][:49] + [0.0] + x[::-1][50:])
    template = manifest.build(made, spec(target="y", **options), calibration.condition(made, spec(target="y")))
    seen = features.build(template, made)
    lost = set(range(30, 60)) - set(seen.row.tolist())
    assert lost == set(range(30, 30 + template.min_rows - 1)) | set(range(40, 40 + template.min_rows))


def test_views_follow_the_lengths_of_the_units() -> None:
    cases = {(200, 30): [(1, 6), (5, 6), (20, 6)], (40, 4): [(1, 6), (4, 6)], (4, 20): [(1, 2), (4, 2)]}
    lives = {(200, 30): [(5, 6), (15, 6), (40, 6)], (40, 4): [(1, 6), (3, 6), (8, 6)]}
    for known, options in ((cases, {"target": "y"}), (lives, {"run_to_failure": True})):
        for (length, units), expected in known.items():
            n = length * units
            keys = {"target": "", "group": "u", "order": "t", **options}
            made = table(
                options=keys, u=[at // length for at in range(n)], t=list(range(n)), x=[at * 7 % 11 for at in range(n)], y=list(range(n))
            )
            assert [(view.every, view.steps) for view in manifest.views(made, spec(**keys))] == expected


def test_stretched_units_wear_like_originals(engines: tuple[Table, Manifest]) -> None:
    made, template = engines
    copies = augmentation.stretched(made, template.min_rows, 3, seed=1)
    again = augmentation.stretched(made, template.min_rows, 3, seed=1)
    assert len(copies) == 3 and all(np.array_equal(a.values, b.values) for a, b in zip(copies, again, strict=True))
    for number, life in enumerate(LIVES):
        for copy in copies:
            mine = copy.unit == number
            assert life / 1.5 - 1 <= mine.sum() <= life * 1.5 + 1 and copy.target[mine].tolist() == list(range(int(mine.sum()) - 1, -1, -1))
            # The noise is 0.5; wear changes the last sensor by 10.
            end = made.values[(made.unit == number) & (made.target == 0), -1]
            assert copy.values[mine][-1, -1] == pytest.approx(end, abs=2.5)


def test_smoothing_keeps_straight_line() -> None:
    line = np.arange(60.0)[:, None] * [1.0, -2.0]
    assert np.abs(augmentation.smooth(line) - line).max() < 1e-9


def test_folds_keep_units_whole() -> None:
    unit = np.repeat(np.arange(10), 7)
    parts = split.folds(unit, None, 3, seed=4)
    assert np.sum(parts, 0).tolist() == [1] * 70
    assert all(len(np.unique(unit[part])) + len(np.unique(unit[~part])) == 10 for part in parts)
    assert all(np.array_equal(a, b) for a, b in zip(parts, split.folds(unit, None, 3, seed=4), strict=True))


def test_folds_of_rows_are_stratified() -> None:
    classes = np.repeat([0, 1, 2], [90, 10, 5])
    parts = split.folds(np.arange(105), classes, 5, seed=1)
    assert [np.bincount(classes[part], minlength=3).tolist() for part in parts] == [[18, 2, 1]] * 5


def test_folds_of_units_spread_rare_classes() -> None:
    unit = np.repeat(np.arange(12), 10)
    classes = np.where((unit < 3) & (np.arange(120) % 10 < 4), 1, 0)
    parts = split.folds(unit, classes, 3, seed=2)
    assert [int(classes[part].sum()) for part in parts] == [4, 4, 4]
    assert all(not np.intersect1d(unit[part], unit[~part]).size for part in parts)
