"""The linear model of normal running: what context and time explain of each channel, and what the channels imply of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_training.machine.column_groups import Group, Shapes
from model_training.machine.contrasts import Contrasts

FOLDS = 5
RIDGE = 10.0
"""Ridge of the explanation, in rows; keeps columns that move together from cancelling each other."""
RARE = 1e-3
"""Further ridge of the explanation, as a share of the channels' mean variance."""
SHRINKAGE = 0.1
"""Ridge of the relations, as a share of a channel's variance."""
BEND = 0.1
"""Minimum reduction of a relation's error on held-out rows that pays for the shapes of the other channels."""
GAIN = 0.02
"""Minimum reduction of the unexplained variance on held-out rows that pays for another group of columns."""


@dataclass(frozen=True)
class Moments:
    """Second moments of the contrasts.

    Attributes:
        folds: (scales, folds, f, f): sums of products of the contrasts of each scale over the rows of each fold.
        counts: (folds,) rows.
    """

    folds: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, contrasts: Contrasts, folds: np.ndarray) -> Moments:
        """Args:
        folds: (n,) int, the fold of each row.
        """
        counts = np.array([int((contrasts.ready & (folds == fold)).sum()) for fold in range(FOLDS)])
        sums = []
        for each in contrasts.levels():
            parts = [each[contrasts.ready & (folds == fold)] for fold in range(FOLDS)]
            sums.append([part.T @ part for part in parts])
        return cls(np.array(sums), counts)

    def mean(self, folds: Sequence[int], channels: Sequence[int]) -> np.ndarray:
        """Mean products over these folds, (f, f): the mean of the scales, each in units of the variance of the channels."""
        total = self.folds[:, list(folds)].sum(1) / max(int(self.counts[list(folds)].sum()), 1)
        size = np.array(
            [max(float(np.trace(each[np.ix_(channels, channels)])) / max(len(channels), 1), 1e-12) for each in self.folds.sum(1)]
        )
        weight = size.mean() / size
        return (total * weight[:, None, None]).mean(0)


def explain(moments: np.ndarray, measured: Sequence[int], places: Sequence[int], rows: int) -> np.ndarray:
    """Coefficients (len(places), len(measured)) that predict the channels from the columns at these places."""
    if not places:
        return np.zeros((0, len(measured)))
    gram = moments[np.ix_(places, places)]
    # A column that hardly moved, such as the effect of a setpoint that was used once, must not get a large coefficient.
    floor = RARE * float(np.diag(moments)[list(measured)].mean())
    ridge = np.diag(np.diag(gram) * RIDGE / max(rows, 1) + floor)
    return np.linalg.solve(gram + ridge, moments[np.ix_(places, measured)])


def select(moments: Moments, measured: Sequence[int], groups: Sequence[Group]) -> tuple[list[Group], list[str]]:
    """The groups of columns that reduce the error on held-out folds, added one after the other, and a sentence for each."""
    chosen: list[Group] = []
    sentences = []
    best = _held_out_error(moments, measured, ())
    whole = best
    for group in groups:
        places = [place for each in (*chosen, group) for place in each.places]
        error = _held_out_error(moments, measured, places)
        pays = error < best - GAIN * whole
        sentences.append(
            f"{group.name}: {'used' if pays else 'not used'}, leaves {100 * error / whole:.0f} % of the variation unexplained on "
            f"held-out rows, {100 * best / whole:.0f} % without"
        )
        if pays:
            chosen.append(group)
            best = error
    return chosen, sentences


def matrix(
    moments: np.ndarray, measured: Sequence[int], places: Sequence[int], rows: int, channels: int, shapes: Shapes, bent: np.ndarray
) -> np.ndarray:
    """From the columns of a row to levels and relations, (f, 2c); context channels have columns of zeros.

    A relation is what is left of a channel's level after its best prediction from all other channels' levels, and for channels that are
    `bent`, (m,) bool, from their shapes too.
    """
    level = levels(moments, measured, places, rows, channels)
    relation = np.zeros_like(level)
    if len(measured) > 1:
        basis = _basis(level[:, measured], shapes)
        gram = basis.T @ moments @ basis
        for number, channel in enumerate(measured):
            relation[:, channel] = basis @ _residual(gram, number, measured, shapes, bool(bent[number]))
    return np.concatenate([level, relation], axis=1)


def levels(moments: np.ndarray, measured: Sequence[int], places: Sequence[int], rows: int, channels: int) -> np.ndarray:
    """From the columns of a row to what context and time leave unexplained of each channel, (f, c)."""
    level = np.zeros((len(moments), channels))
    level[measured, measured] = 1
    level[np.ix_(places, measured)] -= explain(moments, measured, places, rows)
    return level


def bent_relations(moments: Moments, measured: Sequence[int], places: Sequence[int], channels: int, shapes: Shapes) -> np.ndarray:
    """The channels whose relation is clearly better on held-out folds with the shapes of the others, (m,) bool."""
    if not shapes.places or len(measured) < 2:
        return np.zeros(len(measured), bool)
    errors = np.zeros((2, len(measured)))
    for fold in range(FOLDS):
        if not moments.counts[fold]:
            continue
        others = [each for each in range(FOLDS) if each != fold]
        known, held = moments.mean(others, measured), moments.mean([fold], measured)
        basis = _basis(levels(known, measured, places, int(moments.counts[others].sum()), channels)[:, measured], shapes)
        gram, out = basis.T @ known @ basis, basis.T @ held @ basis
        for number in range(len(measured)):
            for bent in (False, True):
                weights = _residual(gram, number, measured, shapes, bent)
                errors[int(bent), number] += float(weights @ out @ weights) * moments.counts[fold]
    return errors[1] < (1 - BEND) * errors[0]


def _basis(level: np.ndarray, shapes: Shapes) -> np.ndarray:
    """From columns to the levels of measured channels and the shapes, (f, m + h)."""
    return np.concatenate([level, np.eye(len(level))[:, list(shapes.places)]], axis=1)


def _residual(gram: np.ndarray, number: int, measured: Sequence[int], shapes: Shapes, bent: bool) -> np.ndarray:
    """Weights (m + h,) of the basis that give the relation of measured channel `number`: 1 for itself, less its prediction."""
    m = len(measured)
    use = [each for each in range(m) if each != number]
    if bent:
        use += [m + each for each, channel in enumerate(shapes.channels) if channel != measured[number]]
    scale = np.sqrt(np.maximum(np.diag(gram)[use], 1e-12))
    correlation = gram[np.ix_(use, use)] / np.outer(scale, scale)
    weights = np.zeros(len(gram))
    weights[number] = 1
    weights[use] = -np.linalg.solve(correlation + SHRINKAGE * np.eye(len(use)), gram[use, number] / scale) / scale
    return weights


def _held_out_error(moments: Moments, measured: Sequence[int], places: Sequence[int]) -> float:
    """Mean unexplained variance of the channels, each fold predicted by the others."""
    total, count = 0.0, 0
    for fold in range(FOLDS):
        if not moments.counts[fold]:
            continue
        others = [each for each in range(FOLDS) if each != fold]
        b = explain(moments.mean(others, measured), measured, places, int(moments.counts[others].sum()))
        held = moments.mean([fold], measured)
        x, y = held[np.ix_(places, places)], held[np.ix_(places, measured)]
        errors = np.diag(held)[measured] - 2 * (b * y).sum(0) + (b * (x @ b)).sum(0)
        total += float(errors.mean()) * moments.counts[fold]
        count += int(moments.counts[fold])
    return total / max(count, 1)
