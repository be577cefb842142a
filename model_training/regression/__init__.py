"""Remaining useful life: how many cycles an engine has left, and how probable it is that they are fewer than the horizon."""

from model_training.regression.training import train

__all__ = ["train"]
