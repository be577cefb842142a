"""Everything that a training run found out, for its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeml.model.bundle import Bundle
from model_training.tables.calibration import Condition
from model_training.tables.features import Examples
from model_training.tables.intervals import Intervals
from model_training.tables.spec import Spec
from model_training.tables.table import Table


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run on m examples.

    Attributes:
        test: rows for the evaluation alone; None: there are none.
        target: (m,) capped numbers, or indices of classes.
        outputs: by method, (m,) numbers or (m, k) probabilities; each example predicted by a model that was trained without its unit.
        test_outputs: the same for the rows of `test`, by the baselines fitted on all examples.
        bundles: by weights; the first one ships.
        bounds: intervals; None for classes.
        level: confidence from which on a condition counts as detected.
        data: origin of the table, plain data.
    """

    table: Table
    test: Table | None
    test_examples: Examples | None
    spec: Spec
    condition: Condition
    examples: Examples
    target: np.ndarray
    outputs: Mapping[str, np.ndarray]
    test_outputs: Mapping[str, np.ndarray]
    bundles: Mapping[str, Bundle]
    bounds: Intervals | None
    level: float
    folds: int
    seed: int
    data: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def shipped(self) -> str:
        """Weights of the bundle that ships."""
        return next(iter(self.bundles))

    def capped(self, target: np.ndarray) -> np.ndarray:
        """Targets as the model sees them."""
        return target if self.spec.cap is None or self.table.classes else np.minimum(target, self.spec.cap)
