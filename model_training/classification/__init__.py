"""Classification: the probability that a milling machine fails on a workpiece, and the type of failure."""

from model_training.classification.training import train

__all__ = ["train"]
