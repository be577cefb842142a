"""The kinds of models that can be trained. A new kind is a package with `train(request) -> TrainingResult` and an entry in `KINDS`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass

from model_training import kind_options
from model_training.training_request import TrainingError, TrainingRequest, TrainingResult


@dataclass(frozen=True)
class ModelKind:
    """One kind of model.

    Attributes:
        what: the question that its model answers, for the help text.
        module: module with `train(request: TrainingRequest) -> TrainingResult`. Imported on first use, because it may need TensorFlow.
        add_options: adds the options of the kind to its parser; `TrainingRequest.options` has their values. The value of `folder`, if
            there is one, is the request's `data`.
        signs: its bundles are always signed, without `--key` with the user's own key.
    """

    what: str
    module: str
    add_options: Callable[[argparse.ArgumentParser], None] = kind_options.recordings
    signs: bool = False

    def train(self, request: TrainingRequest) -> TrainingResult:
        """Train as requested.

        Raises:
            TrainingError: the module or a package is missing, or the data are invalid.
        """
        try:
            train: Callable[[TrainingRequest], TrainingResult] | None = getattr(importlib.import_module(self.module), "train", None)
            if train is None:
                raise TrainingError(
                    f"{self.module} has no function `train`; define `def train(request: TrainingRequest) -> TrainingResult`"
                )
            written = train(request)
            if not isinstance(written, TrainingResult) or not written.bundle.is_dir():
                raise TrainingError(
                    f"{self.module}: `train` returned {written!r}; it must return a TrainingResult with the folder of the bundle that "
                    "it wrote"
                )
            return written
        except ModuleNotFoundError as fault:
            if fault.name and self.module.startswith(fault.name):
                raise TrainingError(f"{self.module}: no such module in this checkout; update the checkout") from None
            raise TrainingError(
                f"{self.module} needs the Python package {fault.name}, which is not installed; run edgeml model train, or: "
                "pip install -e .[train]"
            ) from None


KINDS: dict[str, ModelKind] = {
    "machine": ModelKind("whether any machine runs otherwise than in its history", "model_training.machine", kind_options.machine, True),
    "anomaly": ModelKind("how far a machine deviates from its own baseline", "model_training.anomaly"),
    "regression": ModelKind(
        "any number of a table, such as the remaining useful life", "model_training.tables.regression", kind_options.regression
    ),
    "classification": ModelKind(
        "any class of a table, such as the type of failure", "model_training.tables.classification", kind_options.classification
    ),
}


def find(name: str) -> ModelKind:
    """Look up a kind by name.

    Raises:
        TrainingError: the name is unknown; the message lists the known ones.
    """
    if name not in KINDS:
        raise TrainingError(f"unknown kind of model `{name}`; the kinds are {', '.join(KINDS)}")
    return KINDS[name]
