"""The methods, each with its level set for the same false-alarm budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.model.bundle import assemble
from edgeml.model.manifest_policy import effective_policy
from edgeml.model.scorer import AssetScorer
from model_training.comparison import textbook
from model_training.comparison.textbook import Fit
from model_training.evaluation.baselines.control_chart import filled
from model_training.evaluation.bundle_scoring import score_rows
from model_training.history import History
from model_training.machine import confidence, learning, series
from model_training.machine.budget import PROMISE, Budget, Tail
from model_training.machine.normal_model import FOLDS
from model_training.machine.numpy_engine import NumpyEngine

Confidences = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Event times (n,) int64, ns, and values (n, c), NaN where missing, to confidences (n,), NaN without a decision."""


@dataclass(frozen=True)
class Detector:
    """A trained method.

    Attributes:
        confidences: of a recording, from its first row on; 0.9 at the level of the budget.
        budget_rows: rows from one false alarm to the next, on average, at that level.
        policy: from confidences to alarms.
    """

    confidences: Confidences
    budget_rows: float
    policy: PolicyOptions


Train = Callable[[History, Budget, int], Detector]
"""Trains a method on a history, for a budget, with a seed."""


def machine(history: History, budget: Budget, seed: int) -> Detector:
    """The method of `edgeml model train machine`, scored by the components' code and the arithmetic of the exported graph."""
    learned = learning.learn(history, series.collect(history), "machine", budget, seed, lambda line: None)
    bundle = assemble(learned.manifest, b"")
    engine = NumpyEngine(learned.fit, learned.promise.level, len(learned.manifest.channels))

    def confidences(times: np.ndarray, values: np.ndarray) -> np.ndarray:
        return score_rows(AssetScorer(bundle, engine), times, values.astype(np.float32))[1]

    return Detector(confidences, learned.promise.rows, effective_policy(bundle.manifest))


def of(fit: Fit) -> Train:
    """A method with the level set as for the machine model: a Gumbel tail of held-out scores, and the same alarm policy.

    Each of five contiguous blocks of the history is scored by a model that trained on the other four.
    """

    def train(history: History, budget: Budget, seed: int) -> Detector:
        values = filled(series.collect(history).values)
        blocks = np.array_split(np.arange(len(values)), FOLDS)
        held_out = []
        for block in blocks:
            stretches = [each for each in (values[: block[0]], values[block[-1] + 1 :]) if len(each)]
            held_out.append(fit(stretches)(values)[block])
        scores = np.concatenate(held_out)
        tail = Tail.fit(scores[np.isfinite(scores).all(1)], len(values))
        rows = min(budget.in_rows(history.interval_s), float(PROMISE * len(values)))
        table = confidence.calibration(tail.level(rows))
        whole = fit([values])

        def confidences(times: np.ndarray, values: np.ndarray) -> np.ndarray:
            return np.interp(tail.scaled(whole(filled(values))), table.scores, table.confidences)

        return Detector(confidences, rows, msgspec.convert(learning.policy(history.interval_s), PolicyOptions))

    return train


METHODS: dict[str, Train] = {
    "contrasts on several scales": machine,
    "control chart per channel": of(textbook.shewhart),
    "EWMA chart per channel": of(textbook.ewma),
    "PCA, T² and Q": of(textbook.pca),
    "convolutional autoencoder": of(textbook.autoencoder),
}
"""The methods by name. The first one is that of this project."""
