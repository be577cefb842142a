"""The history of machines: tables of any layout as recordings of numeric channels at event times."""

from model_training.history.reader import read
from model_training.history.records import Channel, History, HistoryError, Recording
from model_training.history.spec import Spec, load_spec

__all__ = ["Channel", "History", "HistoryError", "Recording", "Spec", "load_spec", "read"]
