"""Unit tests of parsing, cleaning, resampling and enriching."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from model_training.prepare.clean import clean, merge
from model_training.prepare.enrich import FUNCTIONS, enrich
from model_training.prepare.parse import parse
from model_training.prepare.plan import Csv, Derived, Range
from model_training.prepare.resample import resample
from model_training.prepare.rows import PrepareError, Statistics

from edgeml.errors import OptionsError
from edgeml.messages import BACKWARDS, GAP, OUT_OF_RANGE, STUCK
from edgeml.timestamps import SECOND

from .kit import T0, plan, rows

NAN = float("nan")


@pytest.mark.parametrize(
    ("unit", "cell", "ns"),
    [
        ("iso", "2020-03-09 10:14:33", T0),
        ("iso", "2020-03-09T11:14:33.5+01:00", T0 + SECOND // 2),
        ("s", "1583748873.25", T0 + SECOND // 4),
        ("ms", "1583748873001", T0 + 1_000_000),
        ("ns", str(T0 + 1), T0 + 1),
    ],
)
def test_times_have_nanosecond_resolution(unit: Literal["iso", "s", "ms", "us", "ns"], cell: str, ns: int) -> None:
    (got,) = parse("x.csv", f"time,flow\n{cell},1\n".encode(), Csv(time_unit=unit), Statistics())
    assert got.times.tolist() == [ns] and got.asset == "x" and got.channels == ("flow",)


def test_unreadable_cells_are_counted_with_place() -> None:
    statistics = Statistics()
    text = "time;flow;amps\n1;1,5;2\nnever;1;2\n3;off;2\n4;1\n\n5;;2\n-6;1;2\n" + "9" * 20 + ";1;2\n"
    layout = Csv(delimiter=";", decimal=",", time_unit="s", columns={"flow": "flow"})
    (got,) = parse("d/x.csv", text.encode(), layout, statistics)
    assert got.values[:, 0].tolist()[:1] == [1.5] and np.isnan(got.values[1:, 0]).all() and len(got.times) == 3
    assert statistics.rows == {"invalid time": 3, "wrong number of cells": 1} and statistics.values == {"not a number": 1}
    assert (
        statistics.examples["invalid time"] == "d/x.csv, line 3: 'never'" and "line 4, column 'flow'" in statistics.examples["not a number"]
    )
    assert statistics.seen == 7 == len(got.times) + sum(statistics.rows.values())


@pytest.mark.parametrize(
    ("layout", "assets"),
    [
        (Csv(time_unit="s"), ["d/x"]),
        (Csv(time_unit="s", asset="folder"), ["d"]),
        (Csv(time_unit="s", asset_column="who"), ["p1", "p2"]),
    ],
)
def test_asset_names_follow_layout(layout: Csv, assets: list[str]) -> None:
    statistics = Statistics()
    found = parse("d/x.csv", b"time,flow,who\n1,1,p1\n2,1,p2\n3,1,p1\n4,1,\n", layout, statistics)
    assert [each.asset for each in found] == assets
    assert statistics.rows == ({"no asset name": 1} if layout.asset_column else {})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"time,flow\n", "has no usable rows"),
        (b"when,flow\n1,2\n", "no column 'time'; it has when, flow"),
        (b"\xff\xfe\x00", "is not a CSV file"),
        (b'# {"format": "edgeml-capture", broken\n1,2\n', "invalid header"),
        (b'# {"format": "edgeml-capture", "version": 9, "asset": "a", "channels": [], "units": []}\n', "version 9, supported is 1"),
    ],
)
def test_unusable_file_fails_with_sentence(content: bytes, expected: str) -> None:
    with pytest.raises(PrepareError, match=expected):
        parse("x.csv", content, Csv(), Statistics())


def test_merge_does_not_depend_on_order() -> None:
    first, second = rows([0, 2], [[1, 10], [3, 30]]), rows([1, 3], [[2], [4]])
    one, two = merge([first, second], []), merge([second, first], [])
    assert one.channels == two.channels == ("current", "flow")
    assert one.values[:, 1].tolist() == [1, 2, 3, 4] and np.isnan(one.values[[1, 3], 0]).all()
    assert np.array_equal(one.values, two.values, equal_nan=True) and np.array_equal(one.times, two.times)
    assert merge([first], ["flow"]).channels == ("flow",)
    with pytest.raises(PrepareError, match="a has no channel torque; it has current, flow"):
        merge([first], ["torque"])


def test_implausible_values_are_removed_and_counted() -> None:
    statistics = Statistics()
    quality = [[0, 0], [0, 0], [0, 0], [OUT_OF_RANGE, 0], [STUCK, STUCK], [BACKWARDS, BACKWARDS], [GAP, 0], [0, 0]]
    values: list[list[float]] = [[1, 1], [1, 1], [5, 5], [9, 4], [1, 1], [1, 1], [7, 8], [99, 3]]
    got = clean(rows([0, 0, 0, 1, 2, 3, 4, 5], values, quality), {"flow": Range(high=50)}, statistics)
    assert ((got.times - T0) // SECOND).tolist() == [0, 1, 4, 5]
    assert np.isnan(got.values[[1, 3], 0]).all() and got.values[2].tolist() == [7, 8]
    assert statistics.rows == {"duplicate": 1, "conflicting duplicate": 1, "no valid value": 1, "time running backwards": 1}
    assert statistics.values == {"out of range": 2, "stuck": 2}
    assert statistics.examples["no valid value"] == "a, 2020-03-09T10:14:35.000Z"


def test_resample_averages_rows_and_keeps_gaps() -> None:
    seconds = [0, 0.5, 1, 2, 5, 6, 12, 13]
    steps = resample(rows(seconds, [[1, 1], [3, 1], [4, NAN], [5, 3], [8, 3], [9, NAN], [1, NAN], [2, NAN]]), 1, 3)
    assert ((steps.times - T0) // SECOND).tolist() == [0, 1, 2, 3, 4, 5, 6, 12, 13]
    assert steps.values[:, 0].tolist() == [2, 4, 5, 6, 7, 8, 9, 1, 2]
    assert np.array_equal(steps.values[:, 1], [1, 2, 3, 3, 3, 3, NAN, NAN, NAN], equal_nan=True)
    assert steps.flags.tolist() == [0, 1, 0, 1, 1, 0, 2, 2, 2] and steps.segment.tolist() == [0] * 7 + [1] * 2
    assert [((gap.begin - T0) // SECOND, (gap.end - T0) // SECOND) for gap in steps.gaps] == [(6, 12)]


def test_resample_keeps_gap_above_limit() -> None:
    assert len(resample(rows([0, 1, 4], [[1], [2], [5]]), 1, 3).times) == 5
    assert len(resample(rows([0, 1, 5], [[1], [2], [6]]), 1, 3).times) == 3
    assert len(resample(rows([0, 1, 3], [[1], [2], [3]]), 1, 0).times) == 3


def test_resample_averages_fast_and_refuses_slow_rows() -> None:
    fast = rows([i / 10 for i in range(100)], [[i] for i in range(100)])
    assert resample(fast, 1, 5).values[:, 0].tolist() == [4.5 + 10 * i for i in range(10)]
    with pytest.raises(PrepareError, match=r"a: its rows are 60 s apart .* an interval of 1 s .* declare its interval"):
        resample(rows([60 * i for i in range(10)], [[i] for i in range(10)]), 1, 5)


def test_resample_handles_clock_jump_in_bounded_memory() -> None:
    steps = resample(rows([0, 1, 2, 3e8, 3e8 + 1], [[1]] * 5), 1, 5)
    assert len(steps.times) == 5 and len(steps.gaps) == 1


def test_derived_functions_have_known_values() -> None:
    a, b = [2.0, 4.0, 9.0], [1.0, 2.0, 0.0]
    expected: dict[str, list[float]] = {
        "sum": [3, 6, 9],
        "difference": [1, 2, 9],
        "product": [2, 8, 0],
        "ratio": [2, 2, NAN],
        "magnitude": [5**0.5, 20**0.5, 9],
        "change": [NAN, 2, 5],
        "rolling_mean": [NAN, 3, 6.5],
        "rolling_std": [NAN, 1, 2.5],
    }
    assert expected.keys() == FUNCTIONS.keys()
    for name, column in expected.items():
        of = ["a", "b"] if FUNCTIONS[name].takes[1] > 1 else ["a"]
        derived = {"x": Derived(name, of, 2.0 if name.startswith("rolling") else 1.0)}
        names, values = enrich(("a", "b"), np.array([a, b]).T, np.zeros(3, int), derived, 1.0)
        assert names == ("a", "b", "x") and np.allclose(values[:, 2], column, equal_nan=True), name


def test_derived_channels_do_not_cross_gaps() -> None:
    values = np.arange(6.0).reshape(6, 1)
    derived = {"d": Derived("change", ["a"]), "m": Derived("rolling_mean", ["d"], 2.0)}
    _, got = enrich(("a",), values, np.array([0, 0, 0, 1, 1, 1]), derived, 1.0)
    assert np.isnan(got[[0, 3], 1]).all() and np.isnan(got[[0, 1, 3, 4], 2]).all() and got[2, 2] == 1


def test_plan_reports_all_faults() -> None:
    with pytest.raises(OptionsError) as caught:
        plan(
            channels=["flow"],
            max_interpolated_gap_s=0.5,
            ranges={"flow": {"low": 2, "high": 1}},
            derived={
                "x": {"function": "eval", "of": ["flow"]},
                "y": {"function": "ratio", "of": ["flow"]},
                "z": {"function": "sum", "of": ["torque"]},
                "flow": {"function": "sum", "of": ["flow"]},
            },
        )
    text = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 6 and "choose one of change, difference" in text and "ratio takes 2 to 2" in text
    with pytest.raises(OptionsError, match="name"):
        plan(name="../x")


def test_resample_averages_valid_values_only() -> None:
    steps = resample(rows([0, 0.25, 0.5, 1, 1.5], [[2, NAN], [NAN, 3], [4, NAN], [NAN, NAN], [6, 8]]), 1, 3)
    assert steps.values.tolist() == [[3, 3], [6, 8]] and not steps.flags.any()


def test_damaged_captured_rows_are_dropped_individually() -> None:
    about = b'# {"format": "edgeml-capture", "version": 1, "asset": "a", "channels": ["x", "y"], "units": ["", ""]}\n'
    about += b"time_ns,seq,x,y,quality\n"
    lines = [b"1,0,1.5,inf,02", b"2,0,1_0,nan,01", b"now,0,1,2,00", b"3,0,1,2,0\xc2\xb2", b"4,0,\xff,2\x0b,00", b"5,0,1,2,00"]
    statistics = Statistics()
    (got,) = parse("a.csv", about + b"\n".join(lines) + b"\n", Csv(), statistics)
    expected = [[1.5, NAN], [NAN, NAN], [NAN, NAN], [1, 2]]
    assert got.times.tolist() == [1, 2, 4, 5] and np.array_equal(got.values, np.array(expected, "f4"), equal_nan=True)
    assert got.quality.tolist() == [[0, 2], [0, 1], [0, 0], [0, 0]]
    assert statistics.values == {"not a number": 4} and statistics.rows == {"unreadable row": 2}
    assert statistics.examples["not a number"] == "a.csv, line 3, column 'y': 'inf'"
