"""The baseline: binary logistic regression of failure, by Newton's method."""

from __future__ import annotations

import numpy as np


def fit(x: np.ndarray, failure: np.ndarray, ridge: float = 1e-2, rounds: int = 25) -> np.ndarray:
    """Fit failure (n,) bool on x (n, features). Returns weights (features + 1,), the intercept last."""
    inputs, weights = _with_one(x), np.zeros(x.shape[1] + 1)
    penalty = ridge * np.eye(len(weights))
    penalty[-1, -1] = 0.0
    for _ in range(rounds):
        predicted = _sigmoid(inputs @ weights)
        slope = inputs.T @ (predicted - failure) + penalty @ weights
        curve = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + penalty
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def predict(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Probability (n,) of a failure."""
    return _sigmoid(_with_one(x) @ weights)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(z, -40, 40)))


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], 1)
