"""Plots as PNG files, for model cards of every kind. They need matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model_training import calibration

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, RED, AMBER = "#1f5fa8", "#c2332b", "#f2c66d"
LINES = ("#1f5fa8", "#5fa3d9", "#2e8b6f", "#8fc9a7", "#b8860b", "#d98c5f", "#7a4fa3", "#b59bd1")
DPI = 110


def recording(
    path: Path,
    title: str,
    times: np.ndarray,
    deviations: np.ndarray,
    names: Sequence[str],
    confidence: np.ndarray,
    alarm: np.ndarray,
    level: float,
    anomaly: np.ndarray | None = None,
    baseline_rows: int = 0,
) -> Path:
    """Plot one recording: channels in the upper panel, confidence, anomalies and alarms in the lower one.

    Args:
        times: (n,) int64, ns.
        deviations: (n, c), in standard deviations of the baseline.
        confidence: (n,), NaN without a decision.
        alarm, anomaly: (n,) bool.
        level: verdict level.
        baseline_rows: number of baseline rows at the start.
    """
    plt = _pyplot()
    minutes = (times - times[0]) / 60e9
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(10, 5.4), sharex=True, gridspec_kw={"height_ratios": [3, 2], "hspace": 0.12}, layout="constrained"
    )
    for channel, name in enumerate(names):
        above.plot(minutes, np.clip(deviations[:, channel], -12, 12), lw=0.7, color=LINES[channel % len(LINES)], label=name)
    above.set(ylabel="standard deviations", ylim=(-12.5, 12.5), title=title)
    above.legend(loc="upper left", bbox_to_anchor=(1.005, 1), fontsize=8, frameon=False)
    below.plot(minutes, confidence, lw=1.2, color=BLUE, label="confidence")
    below.axhline(level, lw=0.8, ls="--", color=MUTED)
    below.text(minutes[0], level + 0.02, " verdict level", fontsize=7, color=MUTED, va="bottom")
    if anomaly is not None:
        for panel in (above, below):
            _spans(panel, minutes, anomaly, color=AMBER, alpha=0.35, lw=0, label="labelled anomalous" if panel is below else None)
    _spans(below, minutes, alarm, ymin=0.955, ymax=1, color=RED, lw=0, label="alarm")
    if baseline_rows:
        end = minutes[min(baseline_rows, len(minutes) - 1)]
        for panel in (above, below):
            panel.axvline(end, lw=0.8, color=MUTED, ls=":")
        above.text(end, -12, "baseline ends ", ha="right", fontsize=7, color=MUTED)
    below.set(ylim=(-0.03, 1.1), xlim=(minutes[0], minutes[-1]), xlabel="minutes of event time", ylabel="confidence")
    below.legend(loc="upper left", bbox_to_anchor=(1.005, 1), fontsize=8, frameon=False)
    return _save(figure, path, above, below)


def scores(
    path: Path, title: str, times: np.ndarray, score: np.ndarray, level: float, aside: np.ndarray, marked: np.ndarray, points: int = 4000
) -> Path:
    """Plot a score over time with the level of an alarm.

    Args:
        times: (n,) int64, ns.
        score: (n,), NaN without a decision.
        aside, marked: (n,) bool: rows set aside as not normal, and rows that a person marked as a fault.
        points: rows drawn at most, as the maximum of neighboring rows.
    """
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(10, 3), layout="constrained")
    step = max(1, -(-len(score) // points))
    filled = np.pad(score, (0, -len(score) % step), constant_values=np.nan).reshape(-1, step)
    with np.errstate(all="ignore"):
        highest = np.where(np.isnan(filled).all(1), np.nan, np.nanmax(np.where(np.isnan(filled), -np.inf, filled), axis=1))
    moments = times.astype("datetime64[ns]")
    axes.plot(moments[::step], highest, lw=0.7, color=BLUE, label="score")
    axes.axhline(level, lw=0.9, ls="--", color=RED)
    axes.text(moments[0], level, " level of an alarm", fontsize=7, color=RED, va="bottom")
    _spans(axes, moments, aside, color=AMBER, alpha=0.5, lw=0, label="set aside")
    _spans(axes, moments, marked, color=MUTED, alpha=0.3, lw=0, label="marked as a fault")
    axes.set(ylabel="score", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1), fontsize=8, frameon=False)
    return _save(figure, path, axes)


def reliability(path: Path, title: str, confidence: np.ndarray, truth: np.ndarray, prior: float) -> Path:
    """Plot the share of positives over the confidence, at the prior. The area of a dot is its share of the weight."""
    plt = _pyplot()
    predicted = np.array(calibration.reliability(confidence, truth, prior))
    error = calibration.expected_error(confidence, truth, prior)
    figure, axes = plt.subplots(figsize=(5.2, 5), layout="constrained")
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls="--")
    axes.plot(predicted[:, 0], predicted[:, 1], color=BLUE, lw=1)
    axes.scatter(predicted[:, 0], predicted[:, 1], s=20 + 900 * predicted[:, 2], color=BLUE, alpha=0.55, lw=0)
    axes.set(
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
        xlabel="confidence",
        ylabel=f"share of positives, at a prior of {prior:g}",
        title=f"{title}\nexpected calibration error {error:.3f}",
    )
    return _save(figure, path, axes)


def delays(path: Path, title: str, seconds: Mapping[str, Sequence[float]], bins: int = 12) -> Path:
    """Plot histograms of delays in s by name, with infinite delays in a separate bin for missed episodes."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    finite = [value for values in seconds.values() for value in values if math.isfinite(value)]
    step = max(5.0, math.ceil(max(finite, default=1.0) / bins / 5) * 5.0)
    edges = np.arange(bins + 1) * step
    width = step / (len(seconds) + 0.6)
    for place, (name, values) in enumerate(seconds.items()):
        counts, _ = np.histogram([min(value, edges[-1] - 1e-9) for value in values if math.isfinite(value)], edges)
        counts = np.append(counts, sum(math.isinf(value) for value in values))
        at = np.append(edges[:-1], edges[-1] + step) + (place + 0.8) * width
        axes.bar(at, counts, width, color=(BLUE, RED)[place % 2], label=name, alpha=0.85)
    ticks = [*edges, edges[-1] + 1.5 * step]
    axes.set_xticks(ticks, [*(f"{edge:g}" for edge in edges), "missed"], fontsize=8)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="seconds from the first anomalous row", ylabel="episodes", title=title)
    axes.legend(fontsize=8, frameon=False)
    return _save(figure, path, axes)


def table(path: Path, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], poor: Sequence[bool] = ()) -> Path:
    """Draw a table; rows marked as `poor` are red."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(min(0.95 * len(head) + 1, 13), 0.26 * (len(rows) + 2)))
    axes.axis("off")
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    drawn = axes.table([list(row) for row in rows], colLabels=list(head), loc="center", cellLoc="right", edges="horizontal")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    drawn.auto_set_column_width(list(range(len(head))))
    drawn.scale(1, 1.15)
    for (row, column), cell in drawn.get_celld().items():
        cell.set_edgecolor(GRID)
        cell.get_text().set_color(RED if row and poor and poor[row - 1] else INK)
        if row == 0:
            cell.get_text().set_fontweight("bold")
        if column == 0:
            cell.get_text().set_horizontalalignment("left")
    return _save(figure, path)


def _spans(axes: Any, x: np.ndarray, inside: np.ndarray, label: str | None = None, **style: Any) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        axes.axvspan(x[begin], x[min(end, len(x) - 1)], label=label, **style)
        label = None


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path, *panels: Any) -> Path:
    for panel in panels:
        panel.grid(color=GRID, lw=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(colors=INK, labelsize=8)
        panel.title.set_fontsize(10)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the name and version of the software, the same data give the same bytes.
    figure.savefig(path, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    _pyplot().close(figure)
    return path
