"""The table of a target: channels, units, classes, dropped rows, and bad input in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from model_training.tables import checks
from model_training.tables.table import build, name_and_unit
from model_training.training_request import TrainingError

from tests.model_training.tables.kit import columns, spec, table

N = 60
X = [float(at * 7 % 11) for at in range(N)]
Y = [float(at % 5) for at in range(N)]


def refusal(classify: bool = False, options: dict[str, Any] | None = None, **cells: Any) -> str:
    with pytest.raises(TrainingError) as caught:
        found = table(classify, None, options, **cells)
        checks.require_enough(found, (options or {}).get("group", ""))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_columns_of_numbers_are_channels() -> None:
    found = table(**{"Torque [Nm]": X, "flow (l/min)": X[::-1], "id": list(range(N)), "name": ["a"] * N, "same": [1] * N, "y": Y})
    assert [(c.name, c.unit) for c in found.channels] == [("Torque", "Nm"), ("flow", "l/min")]
    assert found.values.shape == (N, 2) and found.units == N and not found.ordered
    notes = " ".join(found.notes)
    assert "number the rows: id" in notes and "text" in notes and "name" in notes and "never change: same" in notes


def test_names_and_units() -> None:
    assert name_and_unit("Torque [Nm]") == ("Torque", "Nm") and name_and_unit("a(b)") == ("a", "b") and name_and_unit("t24") == ("t24", "1")


def test_rows_of_a_unit_are_ordered() -> None:
    unit = [f"m{at % 3}" for at in range(N)]
    found = table(options={"group": "unit", "order": "t"}, t=list(range(N))[::-1], x=X, y=Y, unit=unit)
    assert found.ordered and found.unit_names == ("m0", "m1", "m2") and found.unit.tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert (np.diff(found.order)[found.unit[1:] == found.unit[:-1]] > 0).all()
    assert found.values[0, 0] == np.float32(X[57])


def test_order_column_is_found() -> None:
    found = table(options={"group": "unit"}, cycle=[at % 20 for at in range(N)], x=X, y=Y, unit=[at // 20 for at in range(N)])
    assert found.ordered and "`cycle` increases within each unit of `unit`" in found.notes[0]
    assert [c.name for c in found.channels] == ["x"]
    test = table(like=found, options={"group": "unit"}, cycle=[3, 4], x=[1.0, 2.0], y=[1.0, 2.0], unit=[8, 9])
    assert test.order_column == "cycle" and test.channels == found.channels


def test_rows_left_are_counted() -> None:
    found = table(
        options={"group": "u", "run_to_failure": True, "target": "", "order": "t"}, t=list(range(N)), x=X, u=[at // 30 for at in range(N)]
    )
    assert found.target.tolist() == [*range(29, -1, -1)] * 2
    with pytest.raises(TrainingError, match="test rows have no column `rows left`"):
        table(like=found, options={"group": "u", "run_to_failure": True, "target": "", "order": "t"}, t=[1], x=[1], u=[1])


def test_times_order_rows() -> None:
    times = [f"2026-11-03 08:{at:02d}:00" for at in range(N)]
    found = table(options={"order": "time"}, time=times, x=X, y=Y)
    assert found.ordered and found.interval_s == 60 and found.units == 10
    assert "divided into 10 parts" in found.notes[0]


def test_rows_without_target_or_value_are_dropped_and_counted() -> None:
    found = table(x=[None, *X[1:]], y=[*Y[:-2], None, None])
    assert len(found) == N - 3
    assert any("2 rows without a target were dropped, the first at a.csv, line 60" in note for note in found.notes)
    assert any("1 rows with a missing value were dropped, the first at a.csv, line 2" in note for note in found.notes)


def test_classes_and_their_order() -> None:
    kinds = ["ok"] * 40 + ["worn"] * 10 + ["broken"] * 10
    assert table(True, x=X, y=kinds).classes == ("ok", "broken", "worn")
    assert table(True, None, {"normal": "worn"}, x=X, y=kinds).classes[0] == "worn"
    assert table(True, x=X, y=[0] * 50 + [1] * 10).classes == ("0", "1")


@pytest.mark.parametrize(
    ("options", "cells", "sentence"),
    [
        ({"target": "z"}, {}, "there is no column `z` for the target; the columns are x, y"),
        ({"target": ""}, {}, "name the column that the model estimates with --target; the columns are x, y"),
        ({"group": "z"}, {}, "there is no column `z` for the group"),
        ({}, {"y": [2.0] * N}, "the target `y` is 2 in every row"),
        ({}, {"y": ["a"] * N}, "a.csv, line 2: the target `y` is 'a', not a number; for classes, train `classification`"),
        ({}, {"x": [*map(str, X[:-1]), "broken"]}, "a.csv, line 61: the column `x` has the text 'broken' among numbers"),
        ({}, {"x": X[:9], "y": Y[:9]}, "9 of 9 rows have a target and all channels, but at least 50 are needed"),
        ({"group": "u"}, {"u": [1, 2] * 30}, "the column `u` names 2 units (1, 2), but at least 3 are needed"),
        ({"group": "u"}, {"u": [None] + [1, 2, 3] * 19 + [1, 1]}, "a.csv, line 2: the column `u` names no unit"),
        ({"order": "t"}, {"t": ["soon"] * N}, "the column `t` is neither a number nor a time"),
    ],
)
def test_bad_numbers_fail_with_one_sentence(options: dict[str, Any], cells: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(False, options, **{"x": X, "y": Y, **cells})


def test_table_without_channels_fails() -> None:
    with pytest.raises(TrainingError, match="the table has 0 columns of numbers besides the target"):
        build(columns(y=Y), spec(target="y"), False)


@pytest.mark.parametrize(
    ("options", "cells", "sentence"),
    [
        ({}, {"y": ["ok"] * N}, "every row has the class `ok`"),
        ({}, {"y": ["ok"] * 57 + ["worn"] * 3}, "the class `worn` has 3 rows, but at least 5 are needed"),
        ({"normal": "fine"}, {}, "no row has the normal class `fine`; the classes are 0, 1, 2, 3, 4"),
        ({}, {"y": [at + 0.5 for at in range(N)]}, "has 60 classes, at most 50 are possible; for a number, train `regression`"),
        (
            {"group": "u"},
            {"u": [at // 10 for at in range(N)], "y": ["ok"] * 50 + ["worn"] * 10},
            "the class `worn` occurs in one unit only, 5",
        ),
    ],
)
def test_bad_classes_fail_with_one_sentence(options: dict[str, Any], cells: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(True, options, **{"x": X, "y": Y, **cells})


def test_columns_that_give_the_target_away_are_warned_about() -> None:
    kinds = [float(at % 3 == 0) for at in range(N)]
    assert list(checks.leaks(table(True, x=X, y=kinds))) == []
    (perfect,) = checks.leaks(table(True, x=X, code=[5 - 2 * kind for kind in kinds], y=kinds))
    assert perfect.startswith("warning: the column `code` alone predicts the target perfectly")
    part = [float(kind and at % 2) for at, kind in enumerate(kinds)]
    (partly,) = checks.leaks(table(True, x=X, flag=part, y=kinds))
    assert partly.startswith("warning: wherever the column `flag` is 1, the class is `1`")
    (line,) = checks.leaks(table(x=X, copied=[3 * y + 1 for y in Y], y=Y))
    assert "`copied` alone predicts the target perfectly" in line
