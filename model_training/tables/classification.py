"""The kind `classification`: any class of a table, such as the type of failure."""

from __future__ import annotations

from model_training.tables import training
from model_training.training_request import TrainingRequest, TrainingResult


def train(request: TrainingRequest) -> TrainingResult:
    """Train a classification."""
    return training.train(request, "classification")
