"""Features in training equal those on a device."""

from __future__ import annotations

import numpy as np
from model_training.anomaly.features import features
from model_training.anomaly.manifest_template import manifest

from edgeml.model.window import Window


def test_features_equal_window_features() -> None:
    expected = manifest()
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 3, (700, 8)).astype(np.float32)
    relative = rng.uniform(0.2, 1.0, (2, 8))
    relative[0] = 1.0
    window, at, got = Window(expected, relative), [59, 60, 64, 123, 400, 599, 600, 699], []
    for i, row in enumerate(rows):
        window.push(i, row)
        if i in at:
            got.append(window.features())
    assert np.allclose(features(expected, rows, relative, np.array(at)), np.stack(got), atol=1e-4)
