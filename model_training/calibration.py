"""Calibration: fit a table from score to confidence at a prior, and measure the calibration error.

Positives may be rarer or more frequent in the available rows than in operation. Each row therefore gets a weight such that the
positives have the share that the prior states. Fitting and measuring use the same weights.
"""

from __future__ import annotations

import numpy as np

from edgeml.model.manifest import Calibration

BINS = 10
POINTS = 24


def weights(truth: np.ndarray, prior: float) -> np.ndarray:
    """Weights (n,) that sum to 1 and give the positives of `truth` (n,) bool the share `prior`.

    Raises:
        ValueError: only one of the two classes occurs, so no weights can balance them.
    """
    truth = np.asarray(truth, bool)
    yes, no = int(truth.sum()), int((~truth).sum())
    if not yes or not no:
        raise ValueError(f"{yes} rows are positive and {no} are not; both are needed to weigh them to a prior of {prior:g}")
    return np.where(truth, prior / yes, (1 - prior) / no)


def fit(scores: np.ndarray, truth: np.ndarray, prior: float, points: int = POINTS) -> Calibration:
    """Fit an increasing table from score to confidence by isotonic regression of `truth` on `scores` at the prior.

    Args:
        scores: (n,) float.
        truth: (n,) bool.
        points: maximum number of points in the table.

    Raises:
        ValueError: only one class occurs, or all scores are equal.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth, bool)
    weight = weights(truth, prior)
    order = np.argsort(scores, kind="stable")
    levels, start = np.unique(scores[order], return_index=True)
    if len(levels) < 2:
        raise ValueError(f"every score is {levels[0]:g}; a table needs at least two different ones")
    total = np.add.reduceat(weight[order], start)
    positive = np.add.reduceat((weight * truth)[order], start)
    blocks = _pool(levels, total, positive)
    # The interior points of a block add no information. While there are too many blocks, the lightest neighbors are merged.
    while len(blocks) > points:
        lightest = min(range(len(blocks) - 1), key=lambda i: blocks[i][1] + blocks[i + 1][1])
        blocks[lightest : lightest + 2] = [_join(blocks[lightest], blocks[lightest + 1])]
    x = np.array([centre / mass for centre, mass, _ in blocks])
    y = np.array([share / mass for _, mass, share in blocks])
    if len(x) == 1:
        x, y = np.array([levels[0], levels[-1]]), np.repeat(y, 2)
    x, y = np.round(x, 6), np.round(np.clip(y, 0, 1), 4)
    keep = np.append(True, np.diff(x) > 0)
    return Calibration(kind="table", scores=tuple(x[keep].tolist()), confidences=tuple(np.maximum.accumulate(y[keep]).tolist()))


def apply(calibration: Calibration, scores: np.ndarray) -> np.ndarray:
    """Confidences (n,) by a manifest's calibration."""
    return np.array([calibration.confidence(float(score)) for score in scores])


def reliability(confidence: np.ndarray, truth: np.ndarray, prior: float, bins: int = BINS) -> list[tuple[float, float, float]]:
    """Mean confidence, share of positives and share of the total weight of each non-empty bin, at the prior.

    Args:
        bins: number of bins of equal width.
    """
    confidence, truth = np.asarray(confidence, np.float64), np.asarray(truth, bool)
    weight = weights(truth, prior)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    out = []
    for each in range(bins):
        inside = place == each
        mass = float(weight[inside].sum())
        if mass > 0:
            out.append(
                (
                    float((weight * confidence)[inside].sum()) / mass,
                    float((weight * truth)[inside].sum()) / mass,
                    mass,
                )
            )
    return out


def expected_error(confidence: np.ndarray, truth: np.ndarray, prior: float, bins: int = BINS) -> float:
    """Expected calibration error at the prior: the weighted mean over the bins of |mean confidence - share of positives|."""
    return sum(mass * abs(predicted - true) for predicted, true, mass in reliability(confidence, truth, prior, bins))


def _pool(levels: np.ndarray, total: np.ndarray, positive: np.ndarray) -> list[tuple[float, float, float]]:
    """Pool adjacent violators: blocks (sum of score x weight, weight, positive weight) with increasing shares."""
    blocks: list[tuple[float, float, float]] = []
    for level, mass, share in zip(levels, total, positive, strict=True):
        blocks.append((float(level * mass), float(mass), float(share)))
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][1] >= blocks[-1][2] * blocks[-2][1]:
            blocks[-2:] = [_join(blocks[-2], blocks[-1])]
    return blocks


def _join(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
