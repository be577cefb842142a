"""Anomaly detection: how far a machine deviates from its own baseline."""

from model_training.anomaly.training import train

__all__ = ["train"]
