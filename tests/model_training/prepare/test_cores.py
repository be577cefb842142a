"""Parsing, cleaning, resampling and enriching, one by one."""

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
def test_times_are_read_to_the_nanosecond(unit: Literal["iso", "s", "ms", "us", "ns"], cell: str, ns: int) -> None:
    (got,) = parse("x.csv", f"time,flow\n{cell},1\n".encode(), Csv(time_unit=unit), Statistics())
    assert got.times.tolist() == [ns] and got.asset == "x" and got.channels == ("flow",)


def test_what_cannot_be_read_is_counted_with_its_place() -> None:
    statistics = Statistics()
    text = "time;flow;amps\n1;1,5;2\nnever;1;2\n3;off;2\n4;1\n\n5;;2\n-6;1;2\n" + "9" * 20 + ";1;2\n"
    layout = Csv(delimiter=";", decimal=",", time_unit="s", columns={"flow": "flow"})
    (got,) = parse("d/x.csv", text.encode(), layout, statistics)
    assert got.values[:, 0].tolist()[:1] == [1.5] and np.isnan(got.values[1:, 0]).all() and len(got.times) == 3
    assert statistics.rows == {"time not readable": 3, "wrong number of cells": 1} and statistics.values == {"no number": 1}
    assert (
        statistics.examples["time not readable"] == "d/x.csv, line 3: 'never'"
        and "line 4, column 'flow'" in statistics.examples["no number"]
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
def test_whose_rows_they_are(layout: Csv, assets: list[str]) -> None:
    statistics = Statistics()
    found = parse("d/x.csv", b"time,flow,who\n1,1,p1\n2,1,p2\n3,1,p1\n4,1,\n", layout, statistics)
    assert [each.asset for each in found] == assets
    assert statistics.rows == ({"no asset named": 1} if layout.asset_column else {})


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "is empty"),
        (b"time,flow\n", "has no rows that can be used"),
        (b"when,flow\n1,2\n", "no column 'time'; it has when, flow"),
        (b"\xff\xfe\x00", "is no CSV text"),
        (b'# {"format": "edgeml-capture", broken\n1,2\n', "damaged heading"),
        (b'# {"format": "edgeml-capture", "version": 9, "asset": "a", "channels": [], "units": []}\n', "version 9, known is 1"),
    ],
)
def test_a_file_of_no_use_is_a_sentence(content: bytes, wanted: str) -> None:
    with pytest.raises(PrepareError, match=wanted):
        parse("x.csv", content, Csv(), Statistics())


def test_files_are_put_together_whatever_their_order() -> None:
    first, second = rows([0, 2], [[1, 10], [3, 30]]), rows([1, 3], [[2], [4]])
    one, two = merge([first, second], []), merge([second, first], [])
    assert one.channels == two.channels == ("current", "flow")
    assert one.values[:, 1].tolist() == [1, 2, 3, 4] and np.isnan(one.values[[1, 3], 0]).all()
    assert np.array_equal(one.values, two.values, equal_nan=True) and np.array_equal(one.times, two.times)
    assert merge([first], ["flow"]).channels == ("flow",)
    with pytest.raises(PrepareError, match="a has no channel torque; it has current, flow"):
        merge([first], ["torque"])


def test_what_cannot_be_true_is_taken_out_and_counted() -> None:
    statistics = Statistics()
    quality = [[0, 0], [0, 0], [0, 0], [OUT_OF_RANGE, 0], [STUCK, STUCK], [BACKWARDS, BACKWARDS], [GAP, 0], [0, 0]]
    values: list[list[float]] = [[1, 1], [1, 1], [5, 5], [9, 4], [1, 1], [1, 1], [7, 8], [99, 3]]
    got = clean(rows([0, 0, 0, 1, 2, 3, 4, 5], values, quality), {"flow": Range(high=50)}, statistics)
    assert ((got.times - T0) // SECOND).tolist() == [0, 1, 4, 5]
    assert np.isnan(got.values[[1, 3], 0]).all() and got.values[2].tolist() == [7, 8]
    assert statistics.rows == {"repeated": 1, "another row of the same time": 1, "no good value": 1, "time running backwards": 1}
    assert statistics.values == {"out of range": 2, "stuck": 2}
    assert statistics.examples["no good value"] == "a, 2020-03-09T10:14:35.000Z"


def test_steps_are_means_and_gaps_stay_gaps() -> None:
    seconds = [0, 0.5, 1, 2, 5, 6, 12, 13]
    steps = resample(rows(seconds, [[1, 1], [3, 1], [4, NAN], [5, 3], [8, 3], [9, NAN], [1, NAN], [2, NAN]]), 1, 3)
    assert ((steps.times - T0) // SECOND).tolist() == [0, 1, 2, 3, 4, 5, 6, 12, 13]
    assert steps.values[:, 0].tolist() == [2, 4, 5, 6, 7, 8, 9, 1, 2]
    assert np.array_equal(steps.values[:, 1], [1, 2, 3, 3, 3, 3, NAN, NAN, NAN], equal_nan=True)
    assert steps.flags.tolist() == [0, 1, 0, 1, 1, 0, 2, 2, 2] and steps.segment.tolist() == [0] * 7 + [1] * 2
    assert [((gap.begin - T0) // SECOND, (gap.end - T0) // SECOND) for gap in steps.gaps] == [(6, 12)]


def test_a_gap_just_too_long_is_not_bridged() -> None:
    assert len(resample(rows([0, 1, 4], [[1], [2], [5]]), 1, 3).times) == 5
    assert len(resample(rows([0, 1, 5], [[1], [2], [6]]), 1, 3).times) == 3
    assert len(resample(rows([0, 1, 3], [[1], [2], [3]]), 1, 0).times) == 3


def test_fast_rows_are_averaged_and_slow_ones_refused() -> None:
    fast = rows([i / 10 for i in range(100)], [[i] for i in range(100)])
    assert resample(fast, 1, 5).values[:, 0].tolist() == [4.5 + 10 * i for i in range(10)]
    with pytest.raises(PrepareError, match=r"a: its rows are 60 s apart .* wanted is one every 1 s .* declare its interval"):
        resample(rows([60 * i for i in range(10)], [[i] for i in range(10)]), 1, 5)


def test_a_clock_that_jumps_by_years_takes_no_memory() -> None:
    steps = resample(rows([0, 1, 2, 3e8, 3e8 + 1], [[1]] * 5), 1, 5)
    assert len(steps.times) == 5 and len(steps.gaps) == 1


def test_every_function_by_hand() -> None:
    a, b = [2.0, 4.0, 9.0], [1.0, 2.0, 0.0]
    wanted: dict[str, list[float]] = {
        "sum": [3, 6, 9],
        "difference": [1, 2, 9],
        "product": [2, 8, 0],
        "ratio": [2, 2, NAN],
        "magnitude": [5**0.5, 20**0.5, 9],
        "change": [NAN, 2, 5],
        "rolling_mean": [NAN, 3, 6.5],
        "rolling_std": [NAN, 1, 2.5],
    }
    assert wanted.keys() == FUNCTIONS.keys()
    for name, column in wanted.items():
        of = ["a", "b"] if FUNCTIONS[name].takes[1] > 1 else ["a"]
        derived = {"x": Derived(name, of, 2.0 if name.startswith("rolling") else 1.0)}
        names, values = enrich(("a", "b"), np.array([a, b]).T, np.zeros(3, int), derived, 1.0)
        assert names == ("a", "b", "x") and np.allclose(values[:, 2], column, equal_nan=True), name


def test_nothing_derived_reaches_over_a_gap() -> None:
    values = np.arange(6.0).reshape(6, 1)
    derived = {"d": Derived("change", ["a"]), "m": Derived("rolling_mean", ["d"], 2.0)}
    _, got = enrich(("a",), values, np.array([0, 0, 0, 1, 1, 1]), derived, 1.0)
    assert np.isnan(got[[0, 3], 1]).all() and np.isnan(got[[0, 1, 3, 4], 2]).all() and got[2, 2] == 1


def test_all_faults_of_a_plan_at_once() -> None:
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


def test_a_step_half_good_is_the_mean_of_its_good_half() -> None:
    steps = resample(rows([0, 0.25, 0.5, 1, 1.5], [[2, NAN], [NAN, 3], [4, NAN], [NAN, NAN], [6, 8]]), 1, 3)
    assert steps.values.tolist() == [[3, 3], [6, 8]] and not steps.flags.any()


def test_captured_rows_that_were_damaged_cost_what_was_damaged_alone() -> None:
    about = b'# {"format": "edgeml-capture", "version": 1, "asset": "a", "channels": ["x", "y"], "units": ["", ""]}\n'
    about += b"time_ns,seq,x,y,quality\n"
    lines = [b"1,0,1.5,inf,02", b"2,0,1_0,nan,01", b"now,0,1,2,00", b"3,0,1,2,0\xc2\xb2", b"4,0,\xff,2\x0b,00", b"5,0,1,2,00"]
    statistics = Statistics()
    (got,) = parse("a.csv", about + b"\n".join(lines) + b"\n", Csv(), statistics)
    wanted = [[1.5, NAN], [NAN, NAN], [NAN, NAN], [1, 2]]
    assert got.times.tolist() == [1, 2, 4, 5] and np.array_equal(got.values, np.array(wanted, "f4"), equal_nan=True)
    assert got.quality.tolist() == [[0, 2], [0, 1], [0, 0], [0, 0]]
    assert statistics.values == {"no number": 4} and statistics.rows == {"not readable": 2}
    assert statistics.examples["no number"] == "a.csv, line 3, column 'y': 'inf'"
