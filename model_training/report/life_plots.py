"""Plots of predicted and true values as PNG files. They need matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from model_training.report.plots import BLUE, INK, MUTED, _pyplot, _save


def scatter(path: Path, title: str, true: np.ndarray, predicted: np.ndarray, x: str, y: str) -> Path:
    """Plot predicted (n,) over true (n,) values, with the identity as a dashed line."""
    figure, axes = _pyplot().subplots(figsize=(5.2, 5), layout="constrained")
    highest = float(max(true.max(), np.nanmax(predicted, initial=0.0))) * 1.05
    axes.plot([0, highest], [0, highest], color=MUTED, lw=0.8, ls="--")
    axes.scatter(true, predicted, s=22, color=BLUE, alpha=0.7, lw=0)
    axes.set(xlim=(-2, highest), ylim=(-2, highest), aspect="equal", xlabel=x, ylabel=y, title=title)
    return _save(figure, path, axes)


def courses(path: Path, title: str, each: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], x: str, y: str) -> Path:
    """Plot one panel for each item, three in a row: (time, true, predicted), each (n,)."""
    rows = -(-len(each) // 3)
    figure, grid = _pyplot().subplots(rows, 3, figsize=(10, 2.7 * rows), sharey=True, layout="constrained", squeeze=False)
    panels = list(grid.flat)
    for panel, (name, (at, true, predicted)) in zip(panels, each.items(), strict=False):
        panel.plot(at, true, color=INK, lw=0.9, ls="--", label="true")
        panel.plot(at, predicted, color=BLUE, lw=1.2, label="predicted")
        panel.set(title=name, xlabel=x)
    for panel in panels[len(each) :]:
        panel.axis("off")
    panels[0].set_ylabel(y)
    panels[0].legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10, color=INK)
    return _save(figure, path, *panels[: len(each)])
