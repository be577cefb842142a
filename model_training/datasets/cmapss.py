"""C-MAPSS FD001: turbofan engines, one row a cycle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_training.datasets.provenance import PARTIAL, DatasetError, Provenance, examine
from model_training.datasets.table import DATASETS

SETTINGS, SENSORS = 3, 21


class Engines(NamedTuple):
    """Rows of several engines, ordered by engine and cycle.

    Attributes:
        engine: (n,) int32, the engine's number, from 1.
        cycle: (n,) int32, from 1.
        settings: (n, 3) float32, operational settings.
        sensors: (n, 21) float32, sensors 1 to 21 of the data set's documentation.
        life: (n,) float32, remaining cycles after this one, not capped.
    """

    engine: np.ndarray
    cycle: np.ndarray
    settings: np.ndarray
    sensors: np.ndarray
    life: np.ndarray


class Cmapss(NamedTuple):
    """Training engines, run to failure, and test engines, whose rows end before their failure.

    Attributes:
        train, test: the engines. `test` holds the engines for which both rows and remaining life are available.
        test_life: (k,) float32, remaining cycles after the last row of each engine of `test`.
    """

    train: Engines
    test: Engines
    test_life: np.ndarray
    provenance: Provenance

    @property
    def partial(self) -> bool:
        return self.provenance.partial

    @property
    def digests(self) -> dict[str, str]:
        return self.provenance.digests

    @property
    def notes(self) -> tuple[str, ...]:
        first, *rest = self.provenance.notes
        return first, f"test engines: {len(self.test_life)} of 100", *rest


def load_cmapss(folder: Path) -> Cmapss:
    """Load FD001 from `folder` or its subfolder `cmapss`.

    Raises:
        DatasetError: a file is missing, altered or unreadable.
    """
    provenance, contents = examine("cmapss", folder, "*_FD001.txt")
    if provenance.missing:
        raise DatasetError(f"{folder} lacks {', '.join(provenance.missing)}; download it: edgeml data fetch cmapss --out {folder}")
    partial = {file.name for file in provenance.files if file.state == PARTIAL}
    train = _table("train_FD001.txt", contents, partial, 2 + SETTINGS + SENSORS)
    test = _table("test_FD001.txt", contents, partial, 2 + SETTINGS + SENSORS)
    life = _table("RUL_FD001.txt", contents, partial, 1)[:, 0].astype(np.float32)
    last = _last_cycle(train)
    if partial & {"train_FD001.txt"}:
        # The last engine of a truncated file did not fail at its last row.
        train = train[train[:, 0] != train[-1, 0]]
        last = _last_cycle(train)
    # In an unknown truncated file, the remaining life of the last engine does not refer to its last row.
    parts = {digest for _, digest in DATASETS["cmapss"].files[1].parts}
    truncated = "test_FD001.txt" in partial and provenance.digests["test_FD001.txt"] not in parts
    engines = min(len(life), int(test[:, 0].max()) - truncated)
    life, test = life[:engines], test[test[:, 0] <= engines]
    remaining = np.array([last[int(e)] for e in train[:, 0]]) - train[:, 1]
    ends = _last_cycle(test)
    test_remaining = np.array([ends[int(e)] + life[int(e) - 1] for e in test[:, 0]]) - test[:, 1]
    return Cmapss(_engines(train, remaining), _engines(test, test_remaining), life, provenance)


def _engines(rows: np.ndarray, life: np.ndarray) -> Engines:
    return Engines(
        rows[:, 0].astype(np.int32),
        rows[:, 1].astype(np.int32),
        rows[:, 2 : 2 + SETTINGS].astype(np.float32),
        rows[:, 2 + SETTINGS :].astype(np.float32),
        np.asarray(life, np.float32),
    )


def _last_cycle(rows: np.ndarray) -> dict[int, float]:
    return {int(engine): float(rows[rows[:, 0] == engine, 1].max()) for engine in np.unique(rows[:, 0])}


def _table(name: str, contents: dict[str, bytes], partial: set[str], columns: int) -> np.ndarray:
    content = contents[name]
    if name in partial:
        content = content[: content.rfind(b"\n") + 1]
    rows = []
    for number, line in enumerate(content.splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError as fault:
            raise DatasetError(f"{name}, line {number}: {fault}; download the file again") from None
        if len(cells) != columns:
            raise DatasetError(f"{name}, line {number} has {len(cells)} numbers instead of {columns}; download the file again")
    if not rows:
        raise DatasetError(f"{name} has no rows; download the file again: edgeml data fetch cmapss")
    return np.array(rows)
