"""Training sees the same contrasts as a device."""

from __future__ import annotations

import numpy as np
from model_training.machine import learning, missing_values
from model_training.machine import series as rows_of
from model_training.machine.budget import Budget
from model_training.machine.contrasts import Contrasts

from edgeml.messages import GOOD, MISSING
from edgeml.model.bundle import assemble
from edgeml.model.scorer import AssetScorer
from tests.model_training.machine.machines import Plant


class Recorder:
    """Records the inputs of a model that never alarms."""

    def __init__(self, channels: int) -> None:
        self.inputs: list[np.ndarray] = []
        self._answer = np.full(1 + 2 * channels, -9, np.float32)

    def run(self, features: np.ndarray) -> float:
        return float(self.explain(features)[0])

    def explain(self, features: np.ndarray) -> np.ndarray:
        self.inputs.append(features.copy())
        return self._answer


def test_contrasts_of_training_are_those_of_the_device() -> None:
    plant = Plant(channels=4, mode=1.0, day=1.0, interval_s=600)
    values = plant.values(900, 3)
    values[300:305, 2] = np.nan
    values[np.random.default_rng(1).random(values.shape) < 0.02] = np.nan
    history = plant.history(values)
    times = history.recordings[0].times
    times[600:] += round(20 * plant.interval_s * 1e9)  # a gap, after which the views start again
    series = rows_of.collect(history)
    machine = learning.learn(history, series, "m", Budget.parse("1 per day"), 1, lambda text: None)
    columns = rows_of.evaluate_columns(machine.manifest, missing_values.fill(series, machine.manifest))
    assert machine.manifest.columns, "no derived column is used"
    contrasts = Contrasts(series.rows(columns), machine.fit.layout)
    scales = np.stack(list(contrasts.levels()), axis=1)

    recorder = Recorder(len(machine.manifest.channels))
    quality = np.where(np.isfinite(values), np.uint8(GOOD), np.uint8(MISSING))
    result, texts = AssetScorer(assemble(machine.manifest, b""), recorder).feed(times, values.astype(np.float32), quality)
    decided = np.flatnonzero(result.reason == 0)
    seen = np.stack(recorder.inputs).reshape(len(decided), len(machine.fit.layout.scales) + 1, -1)
    assert len(decided) > 600, texts
    assert (contrasts.started[decided]).all()
    np.testing.assert_allclose(seen[:, :-1] - seen[:, -1:], scales[decided], atol=2e-3)
