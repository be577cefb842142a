"""Sorts the columns of a history: channels and their roles, the label column, and columns that are left out. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model_training.history.records import Role

LABEL_NAMES = frozenset(
    [
        "label",
        "labels",
        "anomaly",
        "is_anomaly",
        "anomalous",
        "fault",
        "faults",
        "is_fault",
        "faulty",
        "failure",
        "target",
        "class",
        "changepoint",
    ]
)
CHANGEPOINT = "changepoint"
COUNTS_ROWS, ONLY_INCREASES = "counts the rows", "only increases like a counter"
COUNTERS = (COUNTS_ROWS, ONLY_INCREASES)
"""Reasons to leave a column out unless the spec names it as a channel."""
MIN_INCREASES = 50
MAX_LABELS = 32
NORMAL_LABELS = frozenset(("", "0", "0.0", "-0", "false", "no", "normal", "ok", "healthy", "none", "nan"))
CONTEXT_WORDS = frozenset(["setpoint", "sp", "mode", "state", "command", "cmd", "schedule", "outdoor", "outside", "ambient"])
CONTEXT_PAIRS = (("set", "point"),)
MAX_LEVELS, MAX_WHOLE_LEVELS = 5, 8
MIN_RUN_ROWS = 30
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class ColumnKind(NamedTuple):
    """`left_out`: why the column is no channel, empty for a channel; `because`: why the channel has its role."""

    left_out: str = ""
    role: Role = "measured"
    because: str = ""


def is_label_name(heading: str) -> bool:
    """Whether a heading is that of a label column."""
    return "_".join(re.split(r"[^a-z0-9]+", heading.strip().lower())) in LABEL_NAMES


def classify(name: str, values: Sequence[np.ndarray]) -> ColumnKind:
    """Classify a numeric column.

    Args:
        values: its values in each recording, (n,) float32, NaN for missing.
    """
    known = [each[np.isfinite(each)] for each in values]
    both = np.concatenate(known) if known else np.empty(0)
    if not len(both):
        return ColumnKind("is empty")
    if both.min() == both.max():
        return ColumnKind(f"is constant ({both[0]:g})")
    if _counts_rows(values):
        return ColumnKind(COUNTS_ROWS)
    if _only_increases(known):
        return ColumnKind(ONLY_INCREASES)
    words = [word.lower() for word in _WORD.findall(name)]
    found = next((word for word in words if word in CONTEXT_WORDS), "")
    found = found or next((" ".join(pair) for pair in CONTEXT_PAIRS if pair in zip(words, words[1:], strict=False)), "")
    if found:
        return ColumnKind(role="context", because=f"its name says {found!r}")
    levels = held_levels(known)
    return ColumnKind(role="context", because=f"it holds {levels} values for long stretches") if levels else ColumnKind()


def held_levels(values: Sequence[np.ndarray]) -> int:
    """Number of distinct values if the channel is switched among few and holds each for long, as a setpoint or a mode; else 0.

    A coarse measurement also has few values, but flickers between neighbors.
    """
    levels: np.ndarray = np.empty(0)
    for each in values:
        levels = np.union1d(levels, np.unique(each[: 4 * MIN_RUN_ROWS])) if len(levels) == 0 else levels
        if len(levels) > MAX_WHOLE_LEVELS:
            return 0
        levels = np.union1d(levels, np.unique(each))
    whole = len(levels) > 0 and np.all(levels == np.round(levels)) and levels[0] in (0, 1)
    if not 2 <= len(levels) <= (MAX_WHOLE_LEVELS if whole else MAX_LEVELS):
        return 0
    runs = np.concatenate([np.diff(np.flatnonzero(np.concatenate([[True], np.diff(each) != 0, [True]]))) for each in values if len(each)])
    inner = len(runs) - len(values)
    long = runs.mean() >= MIN_RUN_ROWS and (runs < 5).sum() <= 0.1 * len(runs)
    return len(levels) if inner > 0 and long else 0


def _counts_rows(values: Sequence[np.ndarray]) -> bool:
    steps = [np.diff(each) for each in values if len(each) > 1]
    if not steps or not all(np.isfinite(each).all() for each in steps):
        return False
    first = steps[0][0]
    return bool(first != 0 and first == np.round(first) and all((each == first).all() for each in steps))


def _only_increases(values: Sequence[np.ndarray]) -> bool:
    steps = np.concatenate([np.diff(each) for each in values]) if values else np.empty(0)
    return bool((steps >= 0).all() and (steps > 0).sum() >= MIN_INCREASES)
