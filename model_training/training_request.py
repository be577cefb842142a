"""The request to train a model, and the result."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
        options: the options of the kind, as its `ModelKind.add_options` declares them.
    """

    data: Path | None
    out: Path
    seed: int
    quick: bool
    log: Callable[[str], None]
    options: argparse.Namespace = field(default_factory=argparse.Namespace)


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training run.

    Attributes:
        bundle: folder of the bundle. A twin in `<bundle>-float32` is completed and signed with it.
        figures: the main figures, plain data for the last line of the command's output.
        complete: called with the folder of the completed and signed bundle, returns further figures; None: nothing is left to do.
    """

    bundle: Path
    figures: Mapping[str, Any] = field(default_factory=dict)
    complete: Callable[[Path], Mapping[str, Any]] | None = None
