"""Checks of a table before minutes of training: enough rows and units of each kind, and columns that give the target away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model_training.tables.table import Table
from model_training.training_request import TrainingError

MIN_UNITS = 3
MIN_CLASS_ROWS = 5
FEW_VALUES = 20
"""A column with at most this many different values is checked value by value."""
MIN_VALUE_ROWS = 10


def require_enough(table: Table, group: str) -> None:
    """
    Raises:
        TrainingError: too few units, one class only, or a class that is too rare to be held out.
    """
    if group and table.units < MIN_UNITS:
        raise TrainingError(
            f"the column `{group}` names {table.units} units ({', '.join(table.unit_names)}), but at least {MIN_UNITS} are needed, because "
            "whole units are held out for the evaluation; add units, or leave --group out if the rows are independent"
        )
    if not table.classes:
        return
    if len(table.classes) < 2:
        raise TrainingError(f"every row has the class `{table.classes[0]}`, so there is nothing to learn; add rows of another class")
    for at, name in enumerate(table.classes):
        rows = table.target == at
        if rows.sum() < MIN_CLASS_ROWS:
            raise TrainingError(
                f"the class `{name}` has {int(rows.sum())} rows, but at least {MIN_CLASS_ROWS} are needed; add rows, remove these, or "
                "merge "
                "the class with another one (`classes` in the spec)"
            )
        if len(np.unique(table.unit[rows])) < 2:
            unit = table.unit_names[int(table.unit[rows][0])]
            raise TrainingError(
                f"the class `{name}` occurs in one unit only, {unit}, so it cannot be learned and held out; add units, or merge the class "
                "with another one (`classes` in the spec)"
            )


def leaks(table: Table) -> Iterator[str]:
    """A sentence for each column that alone gives the target away, wholly or for one of its values."""
    for channel, column in zip(table.channels, table.values.T, strict=True):
        known = np.isfinite(column)
        values, target = column[known].astype(np.float64), table.target[known]
        if len(np.unique(values)) < 2 or len(np.unique(target)) < 2:
            continue
        hint = "if it is known only after the target, `ignore` it in the spec"
        if _same(values, target, bool(table.classes)):
            yield f"warning: the column `{channel.column}` alone predicts the target perfectly; {hint}"
        elif table.classes and (value := _giveaway(values, target)) is not None:
            name = table.classes[int(target[values == value][0])]
            yield f"warning: wherever the column `{channel.column}` is {value:g}, the class is `{name}`; {hint}"


def _same(values: np.ndarray, target: np.ndarray, classes: bool) -> bool:
    """Whether a few thresholds separate the classes, or a line through the values gives the numbers."""
    if not classes:
        return bool(abs(np.corrcoef(values, target)[0, 1]) > 0.9999)
    order = np.lexsort((target, values))
    sorted_values, sorted_target = values[order], target[order]
    changes = np.flatnonzero(np.diff(sorted_target) != 0)
    return len(changes) < len(np.unique(target)) and bool((sorted_values[changes] < sorted_values[changes + 1]).all())


def _giveaway(values: np.ndarray, target: np.ndarray) -> float | None:
    """A value that occurs with one class alone, not the most frequent one, in many rows."""
    distinct = np.unique(values)
    if len(distinct) > FEW_VALUES:
        return None
    kinds, counts = np.unique(target, return_counts=True)
    usual = kinds[counts.argmax()]
    for value in distinct.tolist():
        seen = target[values == value]
        if len(seen) >= MIN_VALUE_ROWS and seen[0] != usual and (seen == seen[0]).all():
            return float(value)
    return None
