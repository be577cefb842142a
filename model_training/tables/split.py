"""Folds of whole units: a unit is either trained on or held out, never both."""

from __future__ import annotations

import numpy as np


def folds(unit: np.ndarray, classes: np.ndarray | None, count: int, seed: int) -> list[np.ndarray]:
    """Masks (n,) of the rows that each of `count` folds holds out.

    Args:
        unit: (n,) int, the unit of each row.
        classes: (n,) int to stratify by; None: not stratified.
    """
    rng = np.random.default_rng(seed)
    units, index = np.unique(unit, return_inverse=True)
    count = max(2, min(count, len(units)))
    fold = np.empty(len(units), int)
    if classes is None:
        fold[rng.permutation(len(units))] = np.arange(len(units)) % count
    elif len(units) == len(unit):
        dealt = 0
        own = np.empty(len(units), int)
        own[index] = classes
        for each in np.unique(own):
            at = rng.permutation(np.flatnonzero(own == each))
            fold[at] = (np.arange(len(at)) + dealt) % count
            dealt += len(at)
    else:
        fold = _balanced(index, classes, len(units), count, rng)
    return [fold[index] == part for part in range(count)]


def _balanced(index: np.ndarray, classes: np.ndarray, units: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold (units,) of each unit: the units with the rarest classes first, each to the fold that has the least of its classes."""
    kinds = int(classes.max()) + 1
    table = np.zeros((units, kinds))
    np.add.at(table, (index, classes), 1)
    share = table / np.maximum(table.sum(0), 1)
    filled, fold = np.zeros((count, kinds)), np.empty(units, int)
    for each in sorted(rng.permutation(units), key=lambda at: -share[at].max()):
        fold[each] = (filled @ share[each] + 1e-6 * filled.sum(1)).argmin()
        filled[fold[each]] += share[each]
    return fold
