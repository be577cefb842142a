"""Derived columns that may explain the channels: daily and weekly cycles, and shapes and delays of the context channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgeml.model.manifest import CycleColumn, DerivedColumn, HingeColumn, LagColumn
from model_training.machine.column_groups import Group, Shapes

DAY_S, WEEK_S = 86_400.0, 604_800.0
MIN_TURNS = 2.5
"""Turns of a cycle that the history must hold before it may be learned."""
DAY_HARMONICS, WEEK_HARMONICS = 4, 6
POINTS_PER_TURN = 4
"""Minimum rows in one turn of a harmonic."""
LAGS = (4, 16, 64)
"""Time constants of lags, in rows."""
MAX_LEVELS = 8
"""A context channel with at most this many values gets a hinge at each inner value, so that each value may have a different effect."""
MAX_SHAPED = 24
"""Measured channels up to which their shapes are candidates; each adds three columns."""
QUANTILES = (0.25, 0.5, 0.75)


@dataclass
class Candidates:
    """Derived columns, in the order of the manifest."""

    channels: int
    columns: list[DerivedColumn] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    shapes: Shapes = Shapes()

    def add(self, name: str, columns: Sequence[DerivedColumn]) -> tuple[int, ...]:
        """Add a group; returns the places of its columns."""
        first = self.channels + len(self.columns)
        self.columns += columns
        places = tuple(range(first, first + len(columns)))
        if places:
            self.groups.append(Group(name, places))
        return places


def propose(deviations: np.ndarray, context: Sequence[int], span_s: float, interval_s: float) -> Candidates:
    """The derived columns that this history could support.

    Args:
        deviations: (n, c), NaN where missing.
        context: places of the context channels.
        span_s: seconds that the history covers.
    """
    n, c = deviations.shape
    found = Candidates(c)
    if context:
        found.groups.append(Group("context", tuple(context)))
        hinges = [HingeColumn(channel=channel, at=at) for channel in context for at in _knots(deviations[:, channel])]
        shapes = found.add("shapes of the context", hinges)
        lags = [lag for lag in LAGS if lag * 16 <= n]
        found.add(
            "delays of the context",
            [LagColumn(column=place, rows=float(lag)) for lag in lags for place in (*context, *shapes)],
        )
    for name, period, harmonics in (("daily cycle", DAY_S, range(1, DAY_HARMONICS + 1)), ("weekly cycle", WEEK_S, _weekly())):
        if span_s >= MIN_TURNS * period:
            usable = [h for h in harmonics if period / h >= POINTS_PER_TURN * interval_s]
            found.add(name, [wave for h in usable for wave in _waves(period, h)])
    measured = [channel for channel in range(c) if channel not in context]
    if 1 < len(measured) <= MAX_SHAPED:
        hinges = [HingeColumn(channel=channel, at=at) for channel in measured for at in _range_knots(deviations[:, channel])]
        first = c + len(found.columns)
        found.columns += hinges
        found.shapes = Shapes(tuple(range(first, first + len(hinges))), tuple(each.channel for each in hinges))
    return found


def _range_knots(values: np.ndarray) -> list[float]:
    """Three knots over the range of a channel, which may dwell at its ends."""
    low, high = np.nanquantile(values, (0.01, 0.99))
    return sorted({round(float(low + part * (high - low)), 4) for part in QUANTILES})


def _weekly() -> list[int]:
    """Harmonics of the week: its shape, and the difference of its days from the daily cycle."""
    sides = [7 * day + side for day in range(1, DAY_HARMONICS + 1) for side in (-1, 1)]
    return sorted({*range(1, WEEK_HARMONICS + 1), *sides})


def _waves(period_s: float, harmonic: int) -> list[DerivedColumn]:
    return [CycleColumn(period_s=period_s, harmonic=harmonic, phase="sin"), CycleColumn(period_s=period_s, harmonic=harmonic, phase="cos")]


def _knots(values: np.ndarray) -> list[float]:
    known = values[np.isfinite(values)]
    distinct = np.unique(known)
    if len(distinct) <= MAX_LEVELS:
        return [round(float(value), 4) for value in distinct[1:-1]]
    return sorted({round(float(value), 4) for value in np.quantile(known, (0.05, *QUANTILES, 0.95))})
