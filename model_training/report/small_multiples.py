"""Small multiples: one panel for each channel with its normal band, and the confidence below. They need matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model_training.report.plots import AMBER, BLUE, INK, MUTED, RED, _pyplot, _save

MAX_PANELS = 18
"""Channels drawn: those that spoke first, then the others in order."""
MAX_POINTS = 2_000
"""Rows drawn as a line; more are drawn as the range of neighboring rows."""
BAND = "#dbe7f3"
LIMIT = 4.0
"""A panel shows the band and as many of its half widths around it, at most."""


@dataclass(frozen=True)
class Drawn:
    """A recording to draw: n rows of c channels.

    Attributes:
        times: (n,) int64 ns.
        values: (n, c), NaN for missing.
        names: with their units.
        band: (c, 2), lower and upper end of normal running.
        confidence: (n,), NaN without a decision.
        alarm: (n,) bool.
        truth: (n,) bool, rows of known faults; None: not known.
        spoke: (n,) bool by channel that spoke for an alarm: the rows of the alarms for which it did; strongest first.
        level: confidence from which on `verdict` is positive.
    """

    title: str
    times: np.ndarray
    values: np.ndarray
    names: Sequence[str]
    band: np.ndarray
    confidence: np.ndarray
    alarm: np.ndarray
    truth: np.ndarray | None
    spoke: Mapping[int, np.ndarray]
    level: float


def draw(path: Path, one: Drawn) -> Path:
    """Draw a recording."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = [*one.spoke, *(channel for channel in range(len(one.names)) if channel not in one.spoke)][:MAX_PANELS]
    shown = sorted(shown)
    columns = 1 if len(shown) <= 3 else 2 if len(shown) <= 8 else 3
    rows = math.ceil(len(shown) / columns)
    figure = _pyplot().figure(figsize=(10.5, max(1.15 * rows, 2.0) + 1.9), layout="constrained")
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[*([1.0] * rows), 1.25])
    below = figure.add_subplot(grid[rows, :])
    moments = one.times.astype("datetime64[ns]")
    panels = []
    for place, channel in enumerate(shown):
        panel = figure.add_subplot(grid[place // columns, place % columns], sharex=below)
        _channel(panel, one, channel, moments)
        panel.tick_params(labelbottom=False)
        panels.append(panel)
    _confidence(below, one, moments)
    rest = len(one.names) - len(shown)
    figure.suptitle(one.title + (f"; {rest} further channels are not shown" if rest else ""), fontsize=10, color=INK, x=0.01, ha="left")
    handles: list[Any] = [
        Patch(color=BAND, label="normal band"),
        Patch(color=RED, alpha=0.25, label="alarm"),
        Line2D([], [], color=RED, label="channel that spoke for the alarm"),
    ]
    if one.truth is not None and one.truth.any():
        handles.append(Patch(color=AMBER, alpha=0.4, label="known fault"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    return _save(figure, path, *panels, below)


def _channel(panel: Any, one: Drawn, channel: int, moments: np.ndarray) -> None:
    low, high = one.band[channel]
    spoke = channel in one.spoke
    _stretches(panel, one, moments)
    panel.axhspan(low, high, color=BAND, lw=0, zorder=0.5)
    values = one.values[:, channel].astype(np.float64)
    half = max((high - low) / 2, 1e-12)
    limited = np.clip(values, low - LIMIT * half, high + LIMIT * half)
    _line(panel, moments, limited, BLUE, 0.8)
    if spoke:
        _line(panel, moments, np.where(one.spoke[channel], limited, np.nan), RED, 1.1)
    known = values[np.isfinite(values)]
    ends = (min(known.min(), low), max(known.max(), high)) if len(known) else (low, high)
    bottom, top = max(ends[0], low - LIMIT * half), min(ends[1], high + LIMIT * half)
    margin = 0.06 * max(top - bottom, half)
    panel.set_ylim(bottom - margin, top + margin)
    weight, color = ("bold", RED) if spoke else ("normal", INK)
    panel.set_title(one.names[channel], loc="left", color=color, fontweight=weight, fontsize=9, pad=2)
    panel.yaxis.set_major_locator(_locator(3))


def _line(panel: Any, moments: np.ndarray, values: np.ndarray, color: str, width: float) -> None:
    x, lower, upper = envelope(moments, values)
    if lower is upper:
        panel.plot(x, lower, lw=width, color=color)
    else:
        panel.fill_between(x, lower, upper, color=color, lw=width / 2)


def _confidence(panel: Any, one: Drawn, moments: np.ndarray) -> None:
    from matplotlib import dates

    _stretches(panel, one, moments)
    _line(panel, moments, one.confidence.astype(np.float64), INK, 1.0)
    panel.axhline(one.level, lw=0.8, ls="--", color=MUTED)
    panel.set_title(f"confidence (dashed: verdict level {one.level:g})", loc="left", fontsize=9, pad=2)
    panel.set_ylim(-0.03, 1.05)
    panel.set_xlim(moments[0], moments[-1])
    locator: Any = dates.AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    panel.yaxis.set_major_locator(_locator(4))


def _stretches(panel: Any, one: Drawn, moments: np.ndarray) -> None:
    """Shade known faults and alarms behind the data."""
    for rows, color, alpha in ((one.truth, AMBER, 0.4), (one.alarm, RED, 0.18)):
        if rows is None:
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], rows.astype(np.int8), [0]])))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            panel.axvspan(moments[begin], moments[min(end, len(moments) - 1)], color=color, alpha=alpha, lw=0, zorder=0.7)


def envelope(moments: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, lowest and highest values of groups of rows; the values themselves (twice the same array) if there are few."""
    if len(values) <= MAX_POINTS:
        return moments, values, values
    cuts = np.unique(np.linspace(0, len(values), MAX_POINTS + 1).astype(int)[:-1])
    unknown = np.isnan(values)
    lower = np.minimum.reduceat(np.where(unknown, np.inf, values), cuts)
    upper = np.maximum.reduceat(np.where(unknown, -np.inf, values), cuts)
    gone = np.isinf(lower)
    lower[gone], upper[gone] = np.nan, np.nan
    return moments[cuts], lower, upper


def _locator(ticks: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(ticks)
