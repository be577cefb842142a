"""Small histories, written as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
START_NS = int(START.timestamp()) * 10**9

Form = Callable[[datetime], str]


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def moments(n: int, step_s: float = 60.0) -> list[datetime]:
    return [START + timedelta(seconds=step_s * row) for row in range(n)]


def measured(n: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    """(n, c) readings with three decimals."""
    rng = np.random.default_rng(seed)
    return np.round(20 + rng.normal(0, 1, (n, channels)), 3)


def table(
    path: Path,
    n: int = 100,
    headings: Sequence[str] = ("time", "flow", "power"),
    form: Form = iso,
    delimiter: str = ",",
    step_s: float = 60.0,
    more: Callable[[int], Sequence[object]] = lambda row: (),
    seed: int = 0,
) -> Path:
    """Write a table: the time, two measured channels, and the cells of `more` for each row."""
    lines = [delimiter.join(headings)]
    for row, (moment, values) in enumerate(zip(moments(n, step_s), measured(n, 2, seed).tolist(), strict=True)):
        lines.append(delimiter.join(map(str, (form(moment), *values, *more(row)))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
