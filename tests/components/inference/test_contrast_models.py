"""Inference with a model of contrasts; its README 24 and 25."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgeml.messages import MAX_PAYLOAD, SensorBatch, encode
from edgeml.model.bundle import save
from edgeml.model.manifest import Calibration, Channel, Scaling
from edgeml.model.scorer import AFTER_GAP
from inference.scored_asset import WHY_HEAD_BYTES, _spans
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


def test_25_deviations_are_the_view_of_the_model(tmp_path: Path) -> None:
    blocks = bench(tmp_path).feed(*batches(faulty(100, 60)))
    deviations = column(blocks, "deviations")
    assert (deviations[60:80, 1] > 7).all() and np.isnan(deviations[:29]).all()


def test_25_results_from_the_clear_level_on_name_the_channels_that_speak(tmp_path: Path) -> None:
    blocks = bench(tmp_path).feed(*batches(faulty(100, 60)))
    assert all(block.explains for block in blocks)
    texts = [block.explanation(row) for block in blocks for row in range(len(block.arrays().times))]
    confidences = column(blocks, "confidence")
    assert all(text.startswith("flow is high") for text in texts[60:80])
    assert [bool(text) for text in texts] == (confidences >= np.float32(0.3)).tolist()
    assert all(block.why == () and block.why_code is msgspec.UNSET for block in blocks[:3])


def test_25_blocks_with_many_texts_stay_below_the_limit(tmp_path: Path) -> None:
    c = 24
    names = [f"temperature_of_the_bearing_number_{number:02d}" for number in range(c)]
    changes = {
        "channels": tuple(Channel(name=name, unit="1") for name in names),
        "scaling": Scaling(kind="fixed", mean=(0.0,) * c, std=(1.0,) * c),
        "columns": (),
        "relations": tuple(tuple((number + step) % c for step in (1, 2, 3)) for number in range(c)),
        "context": (),
        "calibration": Calibration(kind="table", scores=(-1e9, 1e9), confidences=(0.5, 0.51)),
    }
    save(tmp_path / "artifacts" / "pump_anomaly", msgspec.structs.replace(MANIFEST, **changes), networks.contrasts(c, c, 3))
    inference = Bench(tmp_path / "work", tmp_path / "artifacts", **CONFIGURATION)
    values = np.random.default_rng(0).normal(0, 3, (400, c))
    sent = [
        SensorBatch.of("a", "s", number, tuple(names), ("1",) * c, T0 + (number * 40 + np.arange(40)) * SECOND, values[number * 40 :][:40])
        for number in range(10)
    ]
    blocks = inference.feed(*sent)
    assert len(blocks) > len(sent) and all(len(encode(block)) <= MAX_PAYLOAD for block in blocks)
    assert sum(len(block) for block in blocks) == 400 and [block.seq for block in blocks] == list(range(len(blocks)))
    texts = {block.explanation(row) for block in blocks for row in range(len(block.arrays().times))}
    assert len(texts) > 300 and max(len(text.encode()) for text in texts) <= 300


def test_25_texts_are_shared_by_the_rows_of_a_block() -> None:
    rows = ["a"] * 5 + [""] * 5 + ["b"] * 5
    assert _spans(15, 10_000, 10, rows) == [(0, 15)]
    assert _spans(15, WHY_HEAD_BYTES + 10 * 11 + 4, 10, rows) == [(0, 10), (10, 15)]
    assert _spans(3, 1, 10, ["", "", ""]) == [(0, 1), (1, 2), (2, 3)]
    assert _spans(0, 100, 10, []) == [(0, 0)] and _spans(0, 100, 10, None) == [(0, 0)]
    assert len(_spans(600, 10**9, 10, [str(row) for row in range(600)])) == 3
