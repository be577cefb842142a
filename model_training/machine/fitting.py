"""Fit the model of a machine, and its level, on a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_training.machine import normal_model
from model_training.machine.budget import Tail
from model_training.machine.column_groups import Group, Shapes
from model_training.machine.contrasts import Contrasts, Rows
from model_training.machine.layout import Layout
from model_training.machine.normal_model import FOLDS, Moments
from model_training.machine.set_aside import Scores, SetAside

POWER = 8
"""Power of the mean over channels: close to the maximum, but several channels that deviate together count for more than one."""
SMOOTH = 0.3
"""A channel is in the contrast of two scales if this is at most so much of its contrast with the reference: it wanders smoothly."""
SPIKY = 1.25
"""A channel is spiky if its peak, in its own size, exceeds the median of the channels by this factor."""
MAX_VALUE = 1e4
"""Maximum of a scaled value; its power fits into float32."""
_PASSES = 5


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        matrix: (f, 2c): from a contrast of the columns to levels and relations.
        size: (k, 2c) for k contrasts: root mean square of each in normal running, by models that did not train on it; infinite for a
            channel that a contrast leaves out.
        used: (k, kinds) bool: contrasts with a score; kinds are levels and relations, of one channel levels alone.
        tail: the tail of the scores that are used, in this order.
        groups: the groups of derived columns that are used.
        sentences: how they were selected.
        held_out: (n,) scaled score of each row by a model that did not train on it; NaN before the first decision.
        accepted: (n,) bool: rows that are normal running.
    """

    layout: Layout
    matrix: np.ndarray
    size: np.ndarray
    used: np.ndarray
    tail: Tail
    groups: tuple[Group, ...]
    sentences: tuple[str, ...]
    held_out: np.ndarray
    accepted: np.ndarray


def fit(rows: Rows, channels: int, measured: Sequence[int], groups: Sequence[Group], shapes: Shapes, layout: Layout) -> Fit:
    """Fit on the accepted rows; deviating stretches are set aside and do not train.

    Args:
        rows: the history with all candidate columns.
        channels: number of channels, the first columns.
        measured: places of the channels that are no context.
        groups: candidate groups of columns that explain them.
        shapes: candidate columns for their relations.
    """
    aside = SetAside(rows.accepted)
    for _ in range(_PASSES):
        found, scores = _fit(rows, channels, list(measured), groups, shapes, layout)
        accepted = aside.accepted(scores)
        if accepted is None:
            return found
        rows = replace(rows, accepted=accepted)
    return _fit(rows, channels, list(measured), groups, shapes, layout)[0]


def linear_model(rows: Rows, channels: int, measured: list[int], groups: Sequence[Group], shapes: Shapes, layout: Layout) -> np.ndarray:
    """The matrix of `Fit` on all accepted rows, (f, 2c)."""
    contrasts = Contrasts(rows, layout)
    return _Selection.of(contrasts, _folds(contrasts.ready), channels, measured, groups, shapes).matrix(range(FOLDS))


@dataclass(frozen=True)
class _Selection:
    """The columns that are used, and the linear models with them."""

    moments: Moments
    channels: int
    measured: list[int]
    groups: list[Group]
    sentences: list[str]
    shapes: Shapes
    bent: np.ndarray

    @classmethod
    def of(
        cls, contrasts: Contrasts, folds: np.ndarray, channels: int, measured: list[int], groups: Sequence[Group], shapes: Shapes
    ) -> _Selection:
        moments = Moments.of(contrasts, folds)
        chosen, sentences = normal_model.select(moments, measured, groups)
        bent = normal_model.bent_relations(moments, measured, _places(chosen), channels, shapes)
        return cls(moments, channels, measured, chosen, sentences, shapes, bent)

    def matrix(self, folds: Sequence[int]) -> np.ndarray:
        """The matrix of `Fit` on these folds, (f, 2c)."""
        count = int(self.moments.counts[list(folds)].sum())
        mean = self.moments.mean(folds, self.measured)
        return normal_model.matrix(mean, self.measured, _places(self.groups), count, self.channels, self.shapes, self.bent)


def _places(groups: Sequence[Group]) -> list[int]:
    return [place for group in groups for place in group.places]


def _folds(ready: np.ndarray) -> np.ndarray:
    """The fold of each row, (n,): successive parts with as many rows that are ready."""
    return np.minimum(np.cumsum(ready) * FOLDS // max(int(ready.sum()), 1), FOLDS - 1)


def kind_scores(values: np.ndarray, channels: int) -> np.ndarray:
    """The soft maximum of the levels and of the relations, (n, 2), of scaled values (n, 2c)."""
    size = np.minimum(np.abs(values), MAX_VALUE).reshape(len(values), 2, channels)
    return (size**POWER).sum(2) ** (1 / POWER)


def _fit(rows: Rows, channels: int, measured: list[int], groups: Sequence[Group], shapes: Shapes, layout: Layout) -> tuple[Fit, Scores]:
    contrasts = Contrasts(rows, layout)
    ready = contrasts.ready
    folds = _folds(ready)
    selection = _Selection.of(contrasts, folds, channels, measured, groups, shapes)
    whole = selection.matrix(range(FOLDS))
    without = [selection.matrix([each for each in range(FOLDS) if each != fold]) for fold in range(FOLDS)]
    kinds, scales = 2 if len(measured) > 1 else 1, len(layout.scales)
    parts = np.full((contrasts.count, len(rows), kinds), np.nan)
    leads = np.zeros((contrasts.count, len(rows), kinds), np.int16)
    size = np.ones((contrasts.count, 2 * channels))
    for number, each in enumerate(contrasts):
        held = np.zeros((len(rows), 2 * channels))
        for fold in range(FOLDS):
            held[folds == fold] = each[folds == fold] @ without[fold]
        size[number] = _size(held[ready])
        left_out = size[number] > SMOOTH * size[number - scales] if number >= scales else np.zeros(2 * channels, bool)
        size[number, left_out] = np.inf
        for fold in range(FOLDS):
            inside = folds == fold
            own = np.where(left_out, np.inf, _size(held[ready & ~inside]))
            values = held[inside] / own
            parts[number, inside] = kind_scores(values, channels)[:, :kinds]
            leads[number, inside] = np.abs(values).reshape(-1, 2, channels).argmax(2)[:, :kinds]
    finite = np.isfinite(size).reshape(contrasts.count, 2, channels)[:, :kinds, measured]
    used = np.asarray(finite.any(2))
    began = contrasts.started
    values = np.moveaxis(parts, 0, 1)[:, used]
    values[~began] = np.nan
    spans = np.array([*layout.scales, *layout.scales[1:]])
    scores = Scores(values, np.moveaxis(leads, 0, 1)[:, used], np.repeat(spans[:, None], kinds, 1)[used], ready)
    tail = Tail.fit(values[ready], int(ready.sum()))
    held_out = np.full(len(rows), np.nan)
    held_out[began] = tail.scaled(values[began])
    sentences = (*selection.sentences, *_bends(selection.bent))
    return Fit(layout, whole, size, used, tail, tuple(selection.groups), sentences, held_out, rows.accepted), scores


def _bends(bent: np.ndarray) -> list[str]:
    return [f"shapes of the channels: used in the relations of {int(bent.sum())} of {len(bent)} channels"] if bent.any() else []


def _size(values: np.ndarray) -> np.ndarray:
    """Root mean square of each column, (k,), more for a spiky one; 1 for a column of zeros.

    A channel whose largest value is far beyond those of the others, in its own size, would set the level of all of them.
    """
    size = np.sqrt((values**2).mean(0))
    size = np.where(size > 1e-9, size, 1.0)
    peak = (np.abs(values).max(0) / size).reshape(2, -1)
    typical = np.array([np.median(part[part > 0]) if (part > 0).any() else 1.0 for part in peak])
    return size * np.maximum(1, peak / (SPIKY * typical[:, None])).reshape(-1)
