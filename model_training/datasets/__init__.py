"""Public data sets: loaded from a folder, downloaded by name, verified by digest."""

from model_training.datasets.ai4i import Ai4i, load_ai4i
from model_training.datasets.cmapss import Cmapss, Engines, load_cmapss
from model_training.datasets.provenance import DatasetError, FileState, Provenance
from model_training.datasets.skab import Recording, Skab, load_skab
from model_training.datasets.table import DATASETS, Dataset, File

__all__ = [
    "DATASETS",
    "Ai4i",
    "Cmapss",
    "Dataset",
    "DatasetError",
    "Engines",
    "File",
    "FileState",
    "Provenance",
    "Recording",
    "Skab",
    "load_ai4i",
    "load_cmapss",
    "load_skab",
]
