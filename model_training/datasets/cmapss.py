"""C-MAPSS FD001: turbofan engines, one row a cycle."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_training.datasets.provenance import PARTIAL, DatasetError, Provenance, examine
from model_training.datasets.table import DATASETS

SETTINGS, SENSORS = 3, 21


class Engines(NamedTuple):
    """Rows of several engines, in the order of engine and cycle.

    Attributes:
        engine: (n,) int32, the engine's number, from 1.
        cycle: (n,) int32, from 1.
        settings: (n, 3) float32, operational settings.
        sensors: (n, 21) float32, sensor 1 to 21 of the data set's own documentation.
        life: (n,) float32, cycles that remain after this one, not capped.
    """

    engine: np.ndarray
    cycle: np.ndarray
    settings: np.ndarray
    sensors: np.ndarray
    life: np.ndarray


class Cmapss(NamedTuple):
    """Engines run to failure, and engines to be judged, which end at some cycle before.

    Attributes:
        train, test: the engines. `test` has those engines only of which rows and remaining life are both at hand.
        test_life: (k,) float32, cycles that remain after the last row of each engine of `test`.
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
        return first, f"engines to be judged: {len(self.test_life)} of 100", *rest


def load_cmapss(folder: Path) -> Cmapss:
    """FD001 in `folder`, or in its `cmapss`.

    Raises:
        DatasetError: a file is missing, altered, or cannot be read.
    """
    provenance, contents = examine("cmapss", folder, "*_FD001.txt")
    if provenance.missing:
        raise DatasetError(f"{folder} lacks {', '.join(provenance.missing)}; get it: edgeml data fetch cmapss --out {folder}")
    partial = {file.name for file in provenance.files if file.state == PARTIAL}
    train = _table("train_FD001.txt", contents, partial, 2 + SETTINGS + SENSORS)
    test = _table("test_FD001.txt", contents, partial, 2 + SETTINGS + SENSORS)
    life = _table("RUL_FD001.txt", contents, partial, 1)[:, 0].astype(np.float32)
    last = _last_cycle(train)
    if partial & {"train_FD001.txt"}:
        # The engine at which the file breaks off did not fail there.
        train = train[train[:, 0] != train[-1, 0]]
        last = _last_cycle(train)
    # Where an unknown part breaks off, its last engine's end is not the row that its remaining life counts from.
    parts = {digest for _, digest in DATASETS["cmapss"].files[1].parts}
    cut = "test_FD001.txt" in partial and provenance.digests["test_FD001.txt"] not in parts
    engines = min(len(life), int(test[:, 0].max()) - cut)
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
            raise DatasetError(f"{name}, line {number}: {fault}; get the file anew") from None
        if len(cells) != columns:
            raise DatasetError(f"{name}, line {number} has {len(cells)} numbers, wanted are {columns}; get the file anew")
    if not rows:
        raise DatasetError(f"{name} has no rows; get the file anew: edgeml data fetch cmapss")
    return np.array(rows)
