"""Requests and tables for the tests of this folder."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from model_training.tables import spec as specs
from model_training.tables import table as tables
from model_training.tables.read import Columns
from model_training.tables.spec import Spec
from model_training.tables.table import Table
from model_training.training_request import TrainingRequest


def columns(**cells: Any) -> Columns:
    """Columns from lists of numbers or of text."""
    arrays = {}
    for name, values in cells.items():
        texts = any(isinstance(value, str) for value in values)
        arrays[name] = np.array(values, object) if texts else np.array([np.nan if v is None else v for v in values], np.float64)
    count = len(next(iter(arrays.values())))
    return Columns(arrays, [f"a.csv, line {at + 2}" for at in range(count)], {"a.csv": "0" * 64})


def spec(**keys: Any) -> Spec:
    return specs.load(Namespace(**keys), None)


def table(classify: bool = False, like: Table | None = None, options: dict[str, Any] | None = None, **cells: Any) -> Table:
    return tables.build(columns(**cells), spec(**{"target": "y", **(options or {})}), classify, like)


def request(out: Path, folder: Path | None = None, seed: int = 1, lines: list[str] | None = None, **options: Any) -> TrainingRequest:
    """A quick request with the options of a kind."""
    return TrainingRequest(folder, out, seed, True, (lines if lines is not None else []).append, Namespace(**options))
