"""Preparation of training data: from captured files and CSVs to versioned Parquet with a data card."""

from model_training.prepare.parquet import load_prepared
from model_training.prepare.pipeline import PreparedDataset, prepare_dataset
from model_training.prepare.plan import Plan, load_plan
from model_training.prepare.rows import PrepareError

__all__ = ["Plan", "PrepareError", "PreparedDataset", "load_plan", "load_prepared", "prepare_dataset"]
