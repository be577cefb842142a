"""Formulas of derived columns: values, columns, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from model_training.tables.formula import Arrays, Formula, FormulaError

A, B = np.array([1.0, 4.0]), np.array([2.0, -8.0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", A + B),
        ("a - 2 * b", A - 2 * B),
        ("-a * b / 4", -A * B / 4),
        ("'motor temp' - a", 10 - A),
        ("abs(b) + min(a, b, 3)", np.abs(B) + np.minimum(np.minimum(A, B), 3)),
        ("max(a, 2) / b", np.maximum(A, 2) / B),
    ],
)
def test_formula_gives_values(text: str, expected: np.ndarray) -> None:
    values = Formula(text).evaluate(Arrays({"a": A, "b": B, "motor temp": np.full(2, 10.0)}))
    assert values == pytest.approx(expected)


def test_formula_knows_its_columns() -> None:
    assert Formula("b * (a + b)").columns == ("b", "a")
    assert not Formula("a / 4").divides and Formula("a / b").divides and Formula("1 / (2 * a)").divides


def test_division_by_zero_is_not_finite() -> None:
    assert not np.isfinite(Formula("a / (b - b)").evaluate(Arrays({"a": A, "b": B}))).any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cannot be parsed"),
        ("a +", "cannot be parsed"),
        ("a ** 2", r"`a \*\* 2` in `a \*\* 2` is not allowed; a formula has columns"),
        ("__import__('os')", "is not allowed"),
        ("a.b + 1", "is not allowed"),
        ("abs(a, b)", "has 2 arguments, expected 1 to 1"),
        ("a if b else 1", "is not allowed"),
        ("1 + 2", "names no column"),
        ("a + True", "is not allowed"),
        ("a + 1e400", "is not allowed"),
        ("a+" * 300 + "a", "601 characters, and 500 are allowed"),
        ("-" * 40 + "a", "nested more than 30 deep"),
    ],
)
def test_refused_formula(text: str, sentence: str) -> None:
    with pytest.raises(FormulaError, match=sentence):
        Formula(text)
