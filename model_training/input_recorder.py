"""An engine for the scorer that records the model's inputs instead of running a model."""

from __future__ import annotations

import numpy as np

from edgeml.model.manifest import Manifest


class InputRecorder:
    """Records the input of each run in `inputs`; every score is 0, and so are levels and relations.

    Args:
        manifest: of a model that explains its scores; not needed for any other.
    """

    def __init__(self, manifest: Manifest | None = None) -> None:
        self._outputs = 1 if manifest is None else manifest.output_shape[0]
        self.inputs: list[np.ndarray] = []

    def run(self, features: np.ndarray) -> float:
        self.inputs.append(features)
        return 0.0

    def explain(self, features: np.ndarray) -> np.ndarray:
        self.inputs.append(features)
        return np.zeros(self._outputs, np.float32)
