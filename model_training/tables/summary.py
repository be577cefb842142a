"""Tables of figures for the model card and the README, of one run or of several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

NAMES = {
    "int8": "network, int8",
    "float32": "network, float32",
    "boosted": "gradient boosting",
    "linear": "linear model",
    "null": "null: the mean, or the shares of the classes",
}


def summary(runs: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Table of the methods; the first row is the heading. Figures of several seeds are mean ± standard deviation."""
    return _classification(runs) if runs[0]["kind"] == "classification" else _regression(runs)


def class_table(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    """Table of the held-out figures by class; the first row is the heading."""
    rows: list[tuple[str, ...]] = [("class", "rows", "F1", "precision", "recall")]
    for name, each in figures["cross_validation"][figures["shipped"]]["classes"].items():
        rows.append((name, str(each["support"]), *(f"{each[key]:.3f}" for key in ("f1", "precision", "recall"))))
    return rows


def _regression(runs: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    first = runs[0]
    unit = f" in {first['unit']}" if first["unit"] else ""
    head = [
        "method",
        f"RMSE{unit}, held-out {'units' if first['grouped'] else 'rows'}",
        "MAE",
        "explained variance",
        f"calibration error, {first['condition']}",
    ]
    tested = "test" in first
    if tested:
        head += [
            f"RMSE, last row of {first['test'][first['shipped']]['units']} test units",
            "RMSE, all test rows",
            "calibration error, test rows",
        ]
    rows: list[tuple[str, ...]] = [(*head, "bytes")]
    for method in first["cross_validation"]:
        line = [NAMES[method]]
        line += [_figure(runs, ("cross_validation", method, key), form) for key, form in (("rmse", ".2f"), ("mae", ".2f"), ("r2", ".3f"))]
        line.append(_figure(runs, ("cross_validation", method, "calibration_error"), ".3f"))
        if tested:
            line += [
                _figure(runs, ("test", method, key), form)
                for key, form in (("rmse", ".2f"), ("rmse_rows", ".2f"), ("calibration_error", ".3f"))
            ]
        rows.append((*line, _bytes(runs, method)))
    return rows


def _classification(runs: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    first = runs[0]
    tested = "test" in first
    head = [
        f"{first['folds']}-fold, {first['condition']}",
        "F1",
        "precision",
        "recall",
        "macro F1 of classes",
        "log loss",
        "calibration error",
    ]
    rows: list[tuple[str, ...]] = [(*head, *(["F1, test rows"] if tested else []), "bytes")]
    for method in first["cross_validation"]:
        line = [NAMES[method]]
        for key in ("f1", "precision", "recall", "macro_f1", "log_loss", "calibration_error"):
            line.append(_figure(runs, ("cross_validation", method, key), ".3f"))
        if tested:
            line.append(_figure(runs, ("test", method, "f1"), ".3f"))
        rows.append((*line, _bytes(runs, method)))
    return rows


def _figure(runs: Sequence[dict[str, Any]], path: Sequence[str], form: str) -> str:
    values = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None or not np.isfinite(value):
            return "-"
        values.append(float(value))
    spread = f" ± {np.std(values):{form}}" if len(values) > 1 else ""
    return f"{np.mean(values):{form}}{spread}"


def _bytes(runs: Sequence[dict[str, Any]], method: str) -> str:
    size = runs[0]["bundles"].get(method, {}).get("bytes")
    return str(size) if size else "-"
