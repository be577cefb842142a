"""Synthetic engines that wear, in the layout of C-MAPSS."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write(folder: Path, train: tuple[int, ...], test: tuple[int, ...], life: tuple[int, ...]) -> Path:
    """Write FD001 to `folder`: engines of `train` cycles and a truncated one, and test engines of `test` cycles with `life` left."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    # The loader treats the last engine of a partial file as truncated.
    (folder / "train_FD001.txt").write_text(_rows([*train, 3], [0] * (len(train) + 1), rng))
    (folder / "test_FD001.txt").write_text(_rows(list(test) + [3], list(life) + [9], rng))
    (folder / "RUL_FD001.txt").write_text("".join(f"{value}\n" for value in life))
    return folder


def _rows(cycles: list[int], left: list[int], rng: np.random.Generator) -> str:
    lines = []
    for engine, (count, after) in enumerate(zip(cycles, left, strict=True), 1):
        for cycle in range(1, count + 1):
            wear = np.exp(-(count - cycle + after) / 40)
            sensors = 100 + 10 * wear * np.linspace(-1, 1, 21) + rng.normal(0, 0.5, 21)
            lines.append(" ".join([f"{engine} {cycle} 0.0 0.0 100.0", *(f"{value:.4f}" for value in sensors)]))
    return "\n".join(lines) + "\n"
