"""The saved rows of an asset; Inference's README 16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeml.messages import SensorBatch, encode
from edgeml.timestamps import SECOND
from inference import recent_rows
from inference.recent_rows import RecentRows


def batch(number: int, rows: int = 10, channels: int = 2) -> SensorBatch:
    names = tuple(f"channel_{each}" for each in range(channels))
    times = (number * rows + np.arange(rows, dtype=np.int64)) * SECOND
    return SensorBatch.of("a", "s", number, names, ("1",) * channels, times, np.full((rows, channels), number, float))


def append(saved: RecentRows, first: int, last: int, holds: bool = False, **shape: int) -> None:
    for number in range(first, last):
        each = batch(number, **shape)
        saved.append(each, encode(each), holds)


def numbers(folder: Path, rows: int = 100) -> list[int]:
    found = RecentRows(folder, "a", rows).load()
    batches = list(found.batches)
    assert found.rows == sum(len(each.times) // 8 for each in batches)
    return [each.seq for each in batches]


def test_rows_before_a_hold_stay_while_it_lasts(tmp_path: Path) -> None:
    saved = RecentRows(tmp_path, "a", 100)
    append(saved, 0, 15)
    append(saved, 15, 48, holds=True)
    assert numbers(tmp_path) == [*range(10), *range(40, 48)]
    append(saved, 48, 62)
    assert numbers(tmp_path) == [*range(50, 62)]


def test_hold_that_begins_in_the_first_rows_keeps_them(tmp_path: Path) -> None:
    append(RecentRows(tmp_path, "a", 100), 0, 25, holds=True)
    assert numbers(tmp_path) == [*range(10), *range(20, 25)]


@pytest.mark.parametrize("rows", [1, 8])
def test_files_of_many_channels_are_bounded(tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_rows, "MAX_FILE_BYTES", 100_000)
    append(RecentRows(tmp_path, "a", 3000), 0, 200, rows=rows, channels=100)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2 and max(sizes) <= 100_000 + len(encode(batch(0, rows, 100)))
    assert numbers(tmp_path, 3000)[-1] == 199
