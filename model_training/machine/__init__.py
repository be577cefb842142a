"""A model of any machine from its history: what is normal, on several time scales, and a level that keeps a false-alarm budget."""

from model_training.machine.training import train

__all__ = ["train"]
