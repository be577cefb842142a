"""Failure type: whether a milling machine fails on a workpiece, and of what."""

from model_training.classification.training import train

__all__ = ["train"]
