"""Principal component analysis of the baseline: Hotelling's T², and Q, the squared reconstruction error."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from model_training.evaluation.baselines.control_chart import filled
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import BASELINE_ROWS

VARIANCE = 0.9
LEVEL = 0.999
DEFINITION = {"variance": VARIANCE, "level": LEVEL, "version": 1}


def verdict(recording: Recording) -> np.ndarray:
    """Verdicts (n,) bool: T² above the chi-square limit or Q above the limit of Jackson and Mudholkar (1979), at `LEVEL`."""
    values = filled(recording.values)
    normal = values[:BASELINE_ROWS]
    spread = np.maximum(normal.std(0), 1e-9 + 1e-6 * np.abs(normal.mean(0)))
    z = (values - normal.mean(0)) / spread
    variances, vectors = np.linalg.eigh(np.cov(z[:BASELINE_ROWS].T))
    variances, vectors = np.maximum(variances[::-1], 1e-12), vectors[:, ::-1]
    kept = min(int(np.searchsorted(np.cumsum(variances) / variances.sum(), VARIANCE)) + 1, len(variances) - 1)
    inside = z @ vectors[:, :kept]
    t2 = (inside**2 / variances[:kept]).sum(1)
    q = ((z - inside @ vectors[:, :kept].T) ** 2).sum(1)
    return (t2 > _chi_square(kept)) | (q > _q_limit(variances[kept:]))


def _chi_square(freedom: int) -> float:
    """Chi-square quantile at `LEVEL`, by the approximation of Wilson and Hilferty."""
    c = 2 / (9 * freedom)
    return freedom * (1 - c + NormalDist().inv_cdf(LEVEL) * c**0.5) ** 3


def _q_limit(left: np.ndarray) -> float:
    t1, t2, t3 = (float((left**power).sum()) for power in (1, 2, 3))
    h = max(1 - 2 * t1 * t3 / (3 * t2**2), 1e-3)
    return t1 * (NormalDist().inv_cdf(LEVEL) * (2 * t2 * h * h) ** 0.5 / t1 + 1 + t2 * h * (h - 1) / t1**2) ** (1 / h)
