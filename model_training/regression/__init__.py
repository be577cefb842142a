"""Regression: the remaining useful life of an engine in cycles, and the probability that it is below the horizon."""

from model_training.regression.training import train

__all__ = ["train"]
