"""Plots of estimated and true values as PNG files. They need matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from model_training.report.plots import BLUE, INK, MUTED, _pyplot, _save

MAX_DOTS = 5000


def scatter(
    path: Path,
    title: str,
    true: np.ndarray,
    estimated: np.ndarray,
    x: str,
    y: str,
    bounds: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Path:
    """Plot estimated (n,) over true (n,) values, with the identity as a dashed line.

    Args:
        bounds: gives the lower and upper bounds of estimates; drawn as a band.
    """
    figure, axes = _pyplot().subplots(figsize=(5.2, 5), layout="constrained")
    drawn = np.random.default_rng(0).permutation(len(true))[:MAX_DOTS]
    known = np.concatenate([true, estimated[np.isfinite(estimated)]])
    low, high = float(known.min()), float(known.max())
    margin = 0.03 * (high - low or 1.0)
    axes.plot([low, high], [low, high], color=MUTED, lw=0.8, ls="--")
    if bounds is not None:
        line = np.linspace(float(np.nanmin(estimated)), float(np.nanmax(estimated)), 200)
        axes.fill_betweenx(line, *bounds(line), color=BLUE, alpha=0.12, lw=0, label="interval of the true value")
        axes.legend(fontsize=8, frameon=False, loc="upper left")
    axes.scatter(true[drawn], estimated[drawn], s=22 if len(drawn) < 200 else 5, color=BLUE, alpha=0.7 if len(drawn) < 200 else 0.3, lw=0)
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal", xlabel=x, ylabel=y, title=title)
    return _save(figure, path, axes)


def courses(path: Path, title: str, each: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], x: str, y: str) -> Path:
    """Plot one panel for each item, three in a row: (time, true, estimated), each (n,)."""
    rows = -(-len(each) // 3)
    figure, grid = _pyplot().subplots(rows, 3, figsize=(10, 2.7 * rows), sharey=True, layout="constrained", squeeze=False)
    panels = list(grid.flat)
    for panel, (name, (at, true, predicted)) in zip(panels, each.items(), strict=False):
        panel.plot(at, true, color=INK, lw=0.9, ls="--", label="true")
        panel.plot(at, predicted, color=BLUE, lw=1.2, label="estimated")
        panel.set(title=name, xlabel=x)
    for panel in panels[len(each) :]:
        panel.axis("off")
    panels[0].set_ylabel(y)
    panels[0].legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10, color=INK)
    return _save(figure, path, *panels[: len(each)])
