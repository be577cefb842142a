"""The report on a model of a table: `figures.json`, plots and the model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from model_training.report import estimate_plots, model_card, plots
from model_training.tables import calibration, evaluation, figures
from model_training.tables.evaluation import Predictions
from model_training.tables.outcome import Outcome
from model_training.tables.summary import class_table, summary

DRAWN_UNITS = 6
"""Number of units whose estimates over time are plotted."""


def write(folder: Path, outcome: Outcome) -> dict[str, Any]:
    """Evaluate the bundles on the test rows as on a device, write the report and return its figures."""
    predictions: dict[str, Predictions] = {}
    if outcome.test is not None:
        predictions = {weights: evaluation.predict(bundle, outcome.test) for weights, bundle in outcome.bundles.items()}
    found = figures.compute(outcome, predictions)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    drawn = _draw_classes(folder, outcome) if outcome.table.classes else _draw_numbers(folder, outcome, predictions)
    sections = {"Derived columns": _derived(outcome)} if outcome.table.derived else {}
    if outcome.table.classes:
        sections["By class"] = model_card.markdown(class_table(found))
    else:
        sections["Intervals"] = _intervals(outcome, found)
    if outcome.spec.selection:
        sections["Model selection"] = outcome.spec.selection
    model_card.write(
        folder,
        model_card.Card(
            answers=outcome.spec.about or f"For each row, the model estimates `{outcome.spec.target}`.",
            data=_data(outcome),
            figures=summary([found]),
            limits=outcome.spec.limits or _limits(outcome),
            plots=drawn,
            sections=sections,
        ),
        list(outcome.bundles.values()),
    )
    return found


def _data(outcome: Outcome) -> str:
    source = f"{outcome.data['citation']}; {outcome.data['licence']}. " if outcome.data.get("citation") else ""
    group = f"whole units of `{outcome.spec.group}` are held out" if outcome.spec.group else "each row is held out once"
    count = f"{len(outcome.table)} rows, {outcome.folds} folds: {group}"
    return f"{source}{'; '.join((*outcome.notes, count))}."


def _limits(outcome: Outcome) -> str:
    what = f"new units of `{outcome.spec.group}`" if outcome.spec.group else "new rows of the same machine"
    return (
        f"The figures hold for {what} that resemble those of the table. The model extrapolates to no others. Rows with a missing or faulty "
        "value have no decision. The settings of the network were chosen on the public example data sets, not on this table."
    )


def _derived(outcome: Outcome) -> str:
    rows = [("column", "formula"), *((name, f"`{formula.text}`") for name, formula in outcome.table.derived.items())]
    return f"Computed in the graph; a device feeds the channels.\n\n{model_card.markdown(rows)}"


def _intervals(outcome: Outcome, found: dict[str, Any]) -> str:
    assert outcome.bounds is not None
    bounds, interval = outcome.bounds, found["interval"]
    edges = bounds.edges
    rows = [("estimate", "true value minus estimate, from", "to")]
    for at, (low, high) in enumerate(zip(bounds.low, bounds.high, strict=True)):
        name = f"from {edges[at]:.4g}" if at else "lower"
        name = "all" if len(bounds.low) == 1 else f"{name} to {edges[at + 1]:.4g}" if at < len(bounds.low) - 1 else name
        rows.append((name, f"{low:.4g}", f"{high:.4g}"))
    tested = f", {interval['test']:.1%} of the test rows" if "test" in interval else ""
    text = (
        f"Conformal intervals on held-out units, stated to contain {bounds.coverage:.0%} of the true values. Measured with the intervals "
        "of "
        f"the other half of the units, they contain {interval['held_out']:.1%}{tested}; mean width {interval['mean_width']:.4g}. The "
        "manifest "
        "has them under `provenance.intervals`."
    )
    return f"{text}\n\n{model_card.markdown(rows)}"


def _draw_numbers(folder: Path, outcome: Outcome, predictions: dict[str, Predictions]) -> dict[str, str]:
    drawn = {}
    unit = outcome.spec.unit or outcome.spec.target
    estimate = outcome.outputs[outcome.shipped]
    estimate_plots.scatter(
        folder / "held-out.png",
        "Held-out rows",
        outcome.target,
        estimate,
        f"true, {unit}",
        f"estimated, {unit}",
        outcome.bounds and outcome.bounds.bounds,
    )
    drawn["Held-out rows"] = "held-out.png"
    if outcome.test is not None and outcome.table.ordered:
        test, score = outcome.test, predictions[outcome.shipped].score
        true = outcome.capped(test.target)
        longest = sorted(np.unique(test.unit), key=lambda each: -int((test.unit == each).sum()))[:DRAWN_UNITS]
        estimate_plots.courses(
            folder / "courses.png",
            "The longest test units",
            {
                f"{outcome.spec.group or 'unit'} {test.unit_names[each]}": (test.order[at], true[at], score[at])
                for each in longest
                for at in [test.unit == each]
            },
            outcome.table.order_column,
            unit,
        )
        drawn["Estimates over time"] = "courses.png"
    truth = outcome.condition.holds(outcome.examples.target)
    return drawn | _reliability(folder, outcome, estimate, truth)


def _draw_classes(folder: Path, outcome: Outcome) -> dict[str, str]:
    probabilities = outcome.outputs[outcome.shipped]
    return _reliability(folder, outcome, 1 - probabilities[:, 0], outcome.target > 0)


def _reliability(folder: Path, outcome: Outcome, score: np.ndarray, truth: np.ndarray) -> dict[str, str]:
    if truth.all() or not truth.any():
        return {}
    confidence = calibration.cross_calibrate(score, truth, outcome.examples.unit, outcome.condition, outcome.seed)
    plots.reliability(folder / "reliability.png", f"Held-out rows: {outcome.condition.what}", confidence, truth, outcome.condition.prior)
    return {"Reliability": "reliability.png"}
