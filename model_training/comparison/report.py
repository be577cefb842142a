"""The tables of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from model_training.comparison.outcome import SIZES, WITHIN, Outcome, total
from model_training.comparison.results import Results
from model_training.evaluation import metrics
from model_training.report.model_card import markdown

NAME = "comparison"
TITLES = {
    "skab": "SKAB, `anomaly-free`: rows 0 to 2349 train, rows 2350 to 4699 measure",
    "tep": "TEP: `normal_1` trains, `normal_2` and six faults measure",
    "nab": "NAB, five series: the first 15 % of each train, the rest measures",
}
MAX_LISTED = 10
"""Maximum number of events whose delays are listed one by one."""


def text(results: Results) -> str:
    """The tables: one for each set, and the sum."""
    parts = [
        f"Budget: {results.budget}, at most one alarm in five times the rows of the history; seed {results.seed}. A step is found if an "
        f"alarm is raised within {WITHIN} rows. Steps of size 0 show alarms by chance."
    ]
    for name, by_method in results.sets.items():
        parts += [f"{TITLES[name]}.", _table({method: list(machines.values()) for method, machines in by_method.items()})]
    if len(results.sets) > 1:
        methods = list(next(iter(results.sets.values())))
        pooled = {method: [each for sets in results.sets.values() for each in sets[method].values()] for method in methods}
        parts += ["All sets.", _table(pooled, listed=False)]
    return "\n\n".join(parts)


def _table(by_method: Mapping[str, Sequence[Outcome]], listed: bool = True) -> str:
    head = ["method", "normal rows in alarm", "alarms in normal rows, allowed", "events found", "median delay, rows"]
    head += [f"{size:g} σ" for size in SIZES]
    rows = [tuple(head)]
    for name, outcomes in by_method.items():
        rows.append((name, *_cells(total(outcomes), listed)))
    return markdown(rows)


def _cells(outcome: Outcome, listed: bool) -> list[str]:
    delays = outcome.delays
    found = sum(math.isfinite(delay) for delay in delays)
    median = _rows(metrics.median(delays)) if delays else "-"
    if listed and 1 < len(delays) <= MAX_LISTED:
        median += f" ({', '.join(map(_rows, delays))})"
    share = outcome.rows_in_alarm / max(outcome.normal_rows, 1)
    return [
        f"{100 * share:.2f} %",
        f"{outcome.alarms}, {outcome.expected:.1f}",
        f"{found} of {len(delays)}" if delays else "-",
        median,
        *(f"{each} of {outcome.steps}" for each in outcome.found),
    ]


def _rows(delay: float) -> str:
    return f"{delay:.0f}" if math.isfinite(delay) else "missed"
