"""The kinds of models that can be trained. A new kind is a package with `train(request) -> Path`, and a line in `KINDS`."""

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
        what: what its model answers, for people.
        module: has `train(request: Request) -> Path`, which gives the folder of the int8 bundle. Imported when it is wanted,
            because it may need TensorFlow.
    """

    what: str
    module: str

    def train(self, request: TrainingRequest) -> Path:
        """Train as requested; gives the folder of the int8 bundle.

        Raises:
            TrainingError: what is not there, or what is wrong with the data.
        """
        try:
            train: Callable[[TrainingRequest], Path] | None = getattr(importlib.import_module(self.module), "train", None)
            if train is None:
                raise TrainingError(f"{self.module} has no function `train`; write `def train(request: Request) -> Path` in it")
            written = train(request)
            if not isinstance(written, Path) or not written.is_dir():
                raise TrainingError(f"{self.module}: `train` gave {written!r}; it must give the folder of the bundle that it wrote")
            return written
        except ModuleNotFoundError as fault:
            if fault.name and self.module.startswith(fault.name):
                raise TrainingError(f"{self.module}: this checkout has no such module; update it") from None
            raise TrainingError(
                f"{self.module} needs the Python package {fault.name}, which is not installed; use edgeml model train, or: "
                "pip install -e .[train]"
            ) from None


KINDS: dict[str, ModelKind] = {
    "anomaly": ModelKind("how far a machine runs otherwise than in its own baseline", "model_training.anomaly"),
    "regression": ModelKind("whether the remaining useful life is below a horizon", "model_training.regression"),
    "classification": ModelKind("whether a failure is there, of whichever type", "model_training.classification"),
}


def find(name: str) -> ModelKind:
    """The kind of that name.

    Raises:
        TrainingError: there is none; lists those that there are.
    """
    if name not in KINDS:
        raise TrainingError(f"there is no kind of model `{name}`; the kinds are {', '.join(KINDS)}")
    return KINDS[name]
