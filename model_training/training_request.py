"""What a kind of model is asked to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class TrainingError(Exception):
    """Training cannot go on; its text is one sentence for a person: what, where, the remedy."""


@dataclass(frozen=True)
class TrainingRequest:
    """One training run.

    Attributes:
        data: folder with the recordings or tables; None: fetch the public data set by its address.
        out: folder that the run writes to: `<name>/` (the int8 bundle), `<name>-float32/`, `<name>-report/`.
        seed: the same seed, data and code give the same bundle.
        quick: a short run that shows that everything works; its model is no good.
        say: told about progress, one line at a time.
    """

    data: Path | None
    out: Path
    seed: int
    quick: bool
    log: Callable[[str], None]
