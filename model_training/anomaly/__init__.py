"""The headline model: how far a machine runs otherwise than in its own baseline."""

from model_training.anomaly.training import train

__all__ = ["train"]
