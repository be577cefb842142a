"""The kinds of models that can be trained. A new kind is a package with `train(request) -> Path` and an entry in `KINDS`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model_training.training_request import TrainingError, TrainingRequest


@dataclass(frozen=True)
class ModelKind:
    """One kind of model.

    Attributes:
        what: the question that its model answers, for the help text.
        module: module with `train(request: TrainingRequest) -> Path`, which returns the folder of the int8 bundle. Imported on first
            use, because it may need TensorFlow.
    """

    what: str
    module: str

    def train(self, request: TrainingRequest) -> Path:
        """Train as requested and return the folder of the int8 bundle.

        Raises:
            TrainingError: the module or a package is missing, or the data are invalid.
        """
        try:
            train: Callable[[TrainingRequest], Path] | None = getattr(importlib.import_module(self.module), "train", None)
            if train is None:
                raise TrainingError(f"{self.module} has no function `train`; define `def train(request: TrainingRequest) -> Path`")
            written = train(request)
            if not isinstance(written, Path) or not written.is_dir():
                raise TrainingError(f"{self.module}: `train` returned {written!r}; it must return the folder of the bundle that it wrote")
            return written
        except ModuleNotFoundError as fault:
            if fault.name and self.module.startswith(fault.name):
                raise TrainingError(f"{self.module}: no such module in this checkout; update the checkout") from None
            raise TrainingError(
                f"{self.module} needs the Python package {fault.name}, which is not installed; run edgeml model train, or: "
                "pip install -e .[train]"
            ) from None


KINDS: dict[str, ModelKind] = {
    "anomaly": ModelKind("how far a machine deviates from its own baseline", "model_training.anomaly"),
    "regression": ModelKind("whether the remaining useful life is below a horizon", "model_training.regression"),
    "classification": ModelKind("whether a machine fails, and the type of failure", "model_training.classification"),
}


def find(name: str) -> ModelKind:
    """Look up a kind by name.

    Raises:
        TrainingError: the name is unknown; the message lists the known ones.
    """
    if name not in KINDS:
        raise TrainingError(f"unknown kind of model `{name}`; the kinds are {', '.join(KINDS)}")
    return KINDS[name]
