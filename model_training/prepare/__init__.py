"""From captured files and CSVs to versioned Parquet with a data card."""

from .build import Built, build
from .parquet import load_prepared
from .plan import Plan, load_plan
from .rows import PrepareError

__all__ = ["Built", "Plan", "PrepareError", "build", "load_plan", "load_prepared"]
