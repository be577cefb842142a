"""Values in place of the missing and faulty ones of a row, from its other columns: a missing value then breaks no relation.

`edgeml.model.manifest.Manifest` has the definition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeml.model.derived_columns import GRID
from edgeml.model.manifest import HingeColumn, Manifest

ROUNDS = 3
"""Rounds in which several unknown channels and their hinges are imputed together."""
_NEGLIGIBLE = 0.01
"""Directions in which unknown channels determine each other, and the known ones do not, are left at the reference from here on."""
_PLANS = 64


@dataclass(frozen=True)
class _Plan:
    """The constants for u unknown channels.

    Attributes:
        together: (u, u): makes the imputed channels consistent with each other.
        bent: the hinges of these channels, as places among the hinges.
    """

    together: np.ndarray
    bent: np.ndarray


class Imputation:
    """Imputes the unknown channels of one asset's rows, and the hinges of these channels. Each row goes through `hold`, before its lags are
    computed, and one with an unknown channel through `fill` after that.

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
        self._context = np.array([number for number, name in enumerate(manifest.names) if name in manifest.context], int)
        self._plans: dict[bytes, _Plan] = {}
        self.restart()

    def restart(self) -> None:
        """Forget the last values of context channels."""
        self._last = np.full(len(self._context), np.nan, np.float32)

    def hold(self, row: np.ndarray, reference: np.ndarray) -> None:
        """Replace unknown context channels of the next row and their hinges, (F,) float32, in place.

        Args:
            reference: (F,) float64: the mean of each column in the reference.
        """
        if not len(self._context):
            return
        now = row[self._context]
        unknown = np.isnan(now)
        self._last = np.where(unknown, self._last, now)
        if unknown.any():
            before_any = np.rint(reference[self._context] / GRID) * GRID
            row[self._context] = np.where(np.isnan(self._last), before_any, self._last)
            self._set_hinges(row, np.flatnonzero(np.isin(self._sources, self._context[unknown])))

    def fill(self, row: np.ndarray, reference: np.ndarray) -> None:
        """Replace the unknown channels of a row and their hinges, (F,) float32, in place; their lags stay.

        Args:
            reference: (F,) float64: the mean of each column in the reference.
        """
        unknown = np.isnan(row[: self._c])
        plan = self._plan(unknown)
        away = np.nan_to_num(row - reference)
        places = self._hinges[plan.bent]
        away[places] = 0
        for _ in range(ROUNDS if len(plan.bent) and unknown.sum() > 1 else 1):
            imputed = reference[: self._c][unknown] + plan.together @ (self._weights[unknown] @ away)
            row[: self._c][unknown] = np.rint(np.clip(imputed, -self._clip, self._clip) / GRID) * GRID
            self._set_hinges(row, plan.bent)
            away[places] = row[places] - reference[places]

    def _plan(self, unknown: np.ndarray) -> _Plan:
        key = unknown.tobytes()
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) == _PLANS:
                self._plans.clear()
            among = np.eye(int(unknown.sum())) - self._weights[np.ix_(unknown, np.flatnonzero(unknown))]
            self._plans[key] = plan = _Plan(np.linalg.pinv(among, _NEGLIGIBLE), np.flatnonzero(unknown[self._sources]))
        return plan

    def _set_hinges(self, row: np.ndarray, chosen: np.ndarray) -> None:
        away = row[self._sources[chosen]] - self._at[chosen]
        row[self._hinges[chosen]] = np.rint(np.maximum(away, 0) / GRID) * GRID
