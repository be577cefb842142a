"""Measures a model of contrasts: `python -m tests.components.inference.contrast_cost`, with 16 channels and with 128.

For a view of up to 4096 rows, a reference of 2,048 and rows that come one in a batch: time of a row, memory of an asset, saved files.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import msgspec
import numpy as np

from edgeml.messages import SensorBatch, encode
from edgeml.model.bundle import Bundle, assemble
from edgeml.model.manifest import Channel, CycleColumn, DerivedColumn, HingeColumn, LagColumn, Reference, Scaling, View
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer
from inference.recent_rows import RecentRows
from tests.edgeml import networks
from tests.edgeml.contrast import MANIFEST, MONDAY, SECOND

VIEWS = (1, 4, 16, 64, 1024, 4096)


def bundle(channels: int) -> Bundle:
    """A hinge and a lag per channel, and three harmonics of the day and of the week."""
    cycles = [(86_400.0, h, phase) for h in (1, 2, 3) for phase in ("sin", "cos")] + [
        (604_800.0, h, phase) for h in (1, 2, 3) for phase in ("sin", "cos")
    ]
    columns: list[DerivedColumn] = [CycleColumn(period_s=period, harmonic=h, phase=phase) for period, h, phase in cycles]  # type: ignore[arg-type]
    columns += [HingeColumn(channel=number, at=0.5) for number in range(channels)]
    columns += [LagColumn(column=number, rows=20.0) for number in range(channels)]
    manifest = msgspec.structs.replace(
        MANIFEST,
        channels=tuple(Channel(name=f"channel_{number}", unit="1") for number in range(channels)),
        columns=tuple(columns),
        relations=(),
        context=(),
        scaling=Scaling(kind="fixed", mean=(0.0,) * channels, std=(1.0,) * channels),
        views=tuple(View(every=rows, steps=1) for rows in VIEWS),
        reference=Reference(rows=2048, delay=4096, hold_at=0.3, hold_rows=8192, min_rows=512),
    )
    return assemble(manifest, networks.contrasts(channels, channels + len(columns), len(VIEWS)))


def rows(n: int, channels: int, faulty: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    quality = (random.random((n, channels)) < faulty).astype(np.uint8)
    return MONDAY + np.arange(n) * SECOND, random.normal(0, 0.5, (n, channels)).astype(np.float32), quality


def microseconds(made: Bundle, faulty: float, n: int = 12_000, measured: int = 2_000) -> float:
    """Of a row, once every view and the reference are full; in blocks of ten rows."""
    scorer = AssetScorer(made, open_engine(made))
    times, values, quality = rows(n, len(made.manifest.channels), faulty)
    scorer.feed(times[:-measured], values[:-measured], quality[:-measured])
    begun = time.process_time()
    for first in range(n - measured, n, 10):
        scorer.feed(times[first : first + 10], values[first : first + 10], quality[first : first + 10])
    return (time.process_time() - begun) / measured * 1e6


def saved(folder: Path, made: Bundle) -> tuple[int, int]:
    """Bytes of the files after three times the rows kept, and the peak memory of reading them."""
    names, n = made.manifest.names, 3 * made.manifest.rows_kept
    times, values, _ = rows(n, len(names), 0)
    kept = RecentRows(folder, "a", made.manifest.rows_kept)
    for number in range(n):
        batch = SensorBatch.of("a", "s", number, names, made.manifest.units, times[number : number + 1], values[number : number + 1])
        kept.append(batch, encode(batch))
    size = sum(path.stat().st_size for path in folder.iterdir())
    tracemalloc.start()
    for _ in RecentRows(folder, "a", made.manifest.rows_kept).load().batches:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size, peak


def main() -> None:
    sys.stdout.write("| channels | columns | µs a row | µs a row, 5 % faulty | memory of an asset | files | memory while they are read |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    for channels in (16, 128):
        made = bundle(channels)
        tracemalloc.start()
        scorer = AssetScorer(made, open_engine(made))
        scorer.feed(*rows(10, channels, 0))
        memory = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        with tempfile.TemporaryDirectory() as folder:
            size, peak = saved(Path(folder), made)
        costs = " | ".join(f"{microseconds(made, faulty):.0f}" for faulty in (0.0, 0.05))
        columns = channels + len(made.manifest.columns)
        sys.stdout.write(f"| {channels} | {columns} | {costs} | {memory / 1e6:.1f} MB | {size / 1e6:.1f} MB | {peak / 1e6:.1f} MB |\n")


if __name__ == "__main__":
    main()
