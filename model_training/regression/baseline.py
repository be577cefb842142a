"""The baseline: linear regression on the same input as the network."""

from __future__ import annotations

import numpy as np

from model_training.regression.manifest_template import CAP


def fit(x: np.ndarray, life: np.ndarray, ridge: float = 10.0) -> np.ndarray:
    """Fit capped life (n,) on x (n, steps, features) by ridge regression. Returns weights (features + 1,), the intercept last."""
    flat = _with_one(x)
    penalty = ridge * np.eye(flat.shape[1])
    penalty[-1, -1] = 0.0
    return np.linalg.solve(flat.T @ flat + penalty, flat.T @ np.minimum(life, CAP))


def predict(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Predicted cycles (n,), 0 to the cap."""
    return np.clip(_with_one(x) @ weights, 0.0, CAP)


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x.reshape(len(x), -1), np.ones((len(x), 1))], 1).astype(np.float64)
