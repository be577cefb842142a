"""The kind `regression`: any number of a table, such as the remaining useful life."""

from __future__ import annotations

from model_training.tables import training
from model_training.training_request import TrainingRequest, TrainingResult


def train(request: TrainingRequest) -> TrainingResult:
    """Train a regression."""
    return training.train(request, "regression")
