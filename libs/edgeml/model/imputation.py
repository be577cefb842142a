"""Values in place of the missing and faulty ones of a row, from its other columns: a missing value then breaks no relation.

`edgeml.model.manifest.Manifest` has the definition.
"""

from __future__ import annotations

import numpy as np

from edgeml.model.derived_columns import GRID
from edgeml.model.manifest import HingeColumn, Manifest

ROUNDS = 3
"""Rounds in which several unknown channels and their hinges are imputed together."""
_NEGLIGIBLE = 0.01
"""Directions in which unknown channels determine each other, and the known ones do not, are left at the reference from here on."""


class Imputation:
    """Imputes the unknown channels of rows of columns, and the hinges of these channels.

    Args:
        manifest: one with an `imputation`.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._c, self._clip = len(manifest.channels), manifest.clip
        self._weights = np.array(manifest.imputation, float)
        hinges = [(number, column) for number, column in enumerate(manifest.columns, self._c) if isinstance(column, HingeColumn)]
        self._hinges = np.array([number for number, _ in hinges], int)
        self._sources = np.array([column.channel for _, column in hinges], int)
        self._at = np.array([column.at for _, column in hinges])
        self._begin(np.zeros(self._c, bool))

    def fill(self, row: np.ndarray, reference: np.ndarray) -> None:
        """Replace the unknown channels of a row and their hinges, (F,) float32, in place; a lag that is NaN stays so.

        Args:
            reference: (F,) float64: the mean of each column in the reference.
        """
        unknown = np.isnan(row[: self._c])
        if (unknown != self._unknown).any():
            self._begin(unknown)
        away = np.nan_to_num(row - reference)
        away[self._bent] = 0
        for _ in range(self._rounds):
            imputed = reference[: self._c][unknown] + self._among @ (self._weights[unknown] @ away)
            row[: self._c][unknown] = np.rint(np.clip(imputed, -self._clip, self._clip) / GRID) * GRID
            row[self._bent] = np.rint(np.maximum(row[self._bent_from] - self._bent_at, 0) / GRID) * GRID
            away[self._bent] = row[self._bent] - reference[self._bent]

    def _begin(self, unknown: np.ndarray) -> None:
        """Compute what depends only on the channels that are unknown, which are often the same in successive rows."""
        bent = unknown[self._sources]
        self._unknown, self._rounds = unknown, 1 if unknown.sum() < 2 or not bent.any() else ROUNDS
        self._bent, self._bent_from, self._bent_at = self._hinges[bent], self._sources[bent], self._at[bent]
        self._among = np.linalg.pinv(np.eye(int(unknown.sum())) - self._weights[np.ix_(unknown, np.flatnonzero(unknown))], _NEGLIGIBLE)
