"""The public data sets of the example specs as plain columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model_training.datasets import DATASETS, Ai4i, Cmapss, DatasetError, load_ai4i, load_cmapss
from model_training.datasets.ai4i import CLASSES, FAILURE, FEATURES
from model_training.datasets.cmapss import SENSORS, SETTINGS, Engines
from model_training.datasets.fetch import fetch
from model_training.tables.read import Columns
from model_training.tables.spec import EXAMPLES
from model_training.training_request import TrainingError, TrainingRequest


class PublicTable(NamedTuple):
    """Columns of a public data set.

    Attributes:
        test: rows for the evaluation alone; None: the data set has none.
        provenance: of its files, plain data.
    """

    train: Columns
    test: Columns | None
    provenance: dict[str, Any]
    notes: tuple[str, ...]


DEFAULT: dict[str, Path] = {"regression": EXAMPLES / "engine_life.yaml", "classification": EXAMPLES / "mill_failure.yaml"}
"""By kind, the spec of the example that trains without a table of one's own."""


def load(name: str, folder: Path | None, request: TrainingRequest) -> PublicTable:
    """Load a data set from a folder, or download it.

    Raises:
        TrainingError: it is unknown, incomplete or altered, or the download failed.
    """
    if name not in LOADERS:
        raise TrainingError(f"unknown data set `{name}` in the spec; choose one of {', '.join(LOADERS)}")
    try:
        if folder is None:
            fetch(name, request.out / "data", log=request.log)
        return LOADERS[name](folder or request.out / "data")
    except DatasetError as fault:
        raise TrainingError(str(fault)) from None


def folder_of(name: str, paths: list[Path]) -> Path | None:
    """The folder of the data set if `paths` are files of it."""
    known = {Path(file.name).name for file in DATASETS[name].files} if name in DATASETS else set()
    return paths[0].parent if paths and all(path.name in known for path in paths) else None


def _cmapss(folder: Path) -> PublicTable:
    data: Cmapss = load_cmapss(folder)
    test = _engines(data.test, data.digests, "test_FD001.txt")
    return PublicTable(_engines(data.train, data.digests, "train_FD001.txt"), test, data.provenance.as_json(), data.notes)


def _engines(engines: Engines, digests: dict[str, str], file: str) -> Columns:
    cells = {"engine": engines.engine, "cycle": engines.cycle, "life": engines.life}
    cells |= {f"setting_{at + 1}": engines.settings[:, at] for at in range(SETTINGS)}
    cells |= {f"sensor_{at + 1}": engines.sensors[:, at] for at in range(SENSORS)}
    return _columns(cells, digests, file)


def _ai4i(folder: Path) -> PublicTable:
    data: Ai4i = load_ai4i(folder)
    cells = {"Type": np.array(data.quality, object), FAILURE: data.failure, "failure type": np.array(CLASSES, object)[data.kind]}
    cells |= {name: data.features[:, at] for at, name in enumerate(FEATURES)}
    return PublicTable(_columns(cells, data.digests, "ai4i2020.csv"), None, data.provenance.as_json(), data.notes)


def _columns(cells: dict[str, np.ndarray], digests: dict[str, str], file: str) -> Columns:
    count = len(next(iter(cells.values())))
    numbers = {name: column if column.dtype == object else column.astype(np.float64) for name, column in cells.items()}
    return Columns(numbers, [f"{file}, row {at + 1}" for at in range(count)], digests)


LOADERS: dict[str, Callable[[Path], PublicTable]] = {"cmapss": _cmapss, "ai4i": _ai4i}
