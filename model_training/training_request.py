"""The request to train a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class TrainingError(Exception):
    """Training cannot continue. The text is one sentence: the problem, its place, the remedy."""


@dataclass(frozen=True)
class TrainingRequest:
    """One training run.

    Attributes:
        data: folder with the recordings or tables; None: download the public data set.
        out: output folder for `<name>/` (the int8 bundle), `<name>-float32/`, `<name>-report/`.
        seed: the same seed, data and code give the same bundle.
        quick: a short run to verify the setup; its model is not usable.
        log: receives progress lines.
    """

    data: Path | None
    out: Path
    seed: int
    quick: bool
    log: Callable[[str], None]
