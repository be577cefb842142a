"""Inference with a model of contrasts; its README 24 to 26."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgeml.messages import SensorBatch
from edgeml.model.bundle import save
from edgeml.model.scorer import AFTER_GAP
from tests.components.inference.kit import T0, Bench, column, reasons
from tests.edgeml import networks
from tests.edgeml.contrast import MANIFEST, SECOND, normal

CONFIGURATION: dict[str, Any] = {"signature": {"required": False}, "model": ""}
NETWORK = networks.contrasts(4, 8, 3)


def bench(folder: Path, **changes: Any) -> Bench:
    save(folder / "artifacts" / "pump_anomaly", msgspec.structs.replace(MANIFEST, **changes), NETWORK)
    return Bench(folder / "work", folder / "artifacts", **CONFIGURATION)


def batches(values: np.ndarray, first: int = 0, size: int = 10) -> list[SensorBatch]:
    """Rows from number `first` on, a multiple of `size`, as batches."""
    units = ("1",) * 4
    return [
        SensorBatch.of(
            "a", "s", (first + at) // size, MANIFEST.names, units, T0 + (first + at + np.arange(size)) * SECOND, values[at : at + size]
        )
        for at in range(0, len(values), size)
    ]


def faulty(n: int, at: int) -> np.ndarray:
    values = normal(n)[1]
    values[at:, 1] += 20
    return values


@pytest.mark.parametrize("more", [30, 500])
def test_24_alarm_that_holds_the_reference_goes_on_after_a_restart(tmp_path: Path, more: int) -> None:
    reference = msgspec.structs.replace(MANIFEST.reference, hold_rows=0)  # type: ignore[type-var]
    inference = bench(tmp_path, reference=reference)
    values = faulty(400 + more, 200)
    before = inference.feed(*batches(values[: 200 + more]))
    assert (column(before, "confidence")[200:] > 0.9).all()
    inference.restart()
    after = inference.feed(*batches(values[200 + more :], 200 + more))
    assert set(reasons(after)) <= {"", AFTER_GAP}
    assert (column(after, "confidence")[-100:] > 0.9).all()


def test_24_deviations_are_the_view_of_the_model(tmp_path: Path) -> None:
    blocks = bench(tmp_path).feed(*batches(faulty(100, 60)))
    deviations = column(blocks, "deviations")
    assert (deviations[60:80, 1] > 7).all() and np.isnan(deviations[:29]).all()
