"""The methods beside the network, on the same inputs and folds: a constant, a linear model and gradient boosting."""

from __future__ import annotations

from typing import Any

import numpy as np

LINEAR, BOOSTED, NULL = "linear", "boosted", "null"
METHODS = (BOOSTED, LINEAR, NULL)
MAX_ROWS = 20_000
"""Rows on which the baselines are fitted, drawn from the training rows."""
RIDGE = 10.0
SHRINKAGE = 1.0
"""Regularization of boosted trees; without it, the probabilities of a rare class diverge."""


def require() -> None:
    """Fail before the training if scikit-learn is not installed.

    Raises:
        ModuleNotFoundError: it is not.
    """
    import sklearn  # noqa: F401


def predict(method: str, x: np.ndarray, target: np.ndarray, held_out: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Fit a method and predict.

    Args:
        x, target: (n, features) and (n,), the training rows.
        held_out: (m, features).
        classes: number of classes; 0 for a number.

    Returns:
        (m,) numbers within those of the training rows, or (m, classes) probabilities.
    """
    if method == NULL:
        return _null(target, len(held_out), classes)
    if len(x) > MAX_ROWS:
        drawn = np.random.default_rng(seed).choice(len(x), MAX_ROWS, replace=False)
        if not classes or len(np.unique(target[drawn])) == len(np.unique(target)):
            x, target = x[drawn], target[drawn]
    mean, std = x.mean(0), np.maximum(x.std(0), 1e-9)
    model = _model(method, classes, seed)
    _fit(model, (x - mean) / std, target)
    if not classes:
        return np.clip(model.predict((held_out - mean) / std), target.min(), target.max())
    probabilities = np.zeros((len(held_out), classes))
    probabilities[:, model.classes_.astype(int)] = model.predict_proba((held_out - mean) / std)
    return probabilities


def _fit(model: Any, x: np.ndarray, target: np.ndarray) -> None:
    """Fit with one thread: sums in parallel would depend on the machine, and threads wait for each other on a busy one."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model.fit(x, target)


def _model(method: str, classes: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if method == LINEAR:
        return LogisticRegression(max_iter=1000) if classes else Ridge(RIDGE)
    return (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(random_state=seed, l2_regularization=SHRINKAGE)


def _null(target: np.ndarray, count: int, classes: int) -> np.ndarray:
    """The mean, or the share of each class, for every row."""
    if not classes:
        return np.full(count, target.mean())
    return np.tile(np.bincount(target.astype(int), minlength=classes) / len(target), (count, 1))
