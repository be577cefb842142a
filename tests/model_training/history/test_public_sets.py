"""The public data sets, as a user finds them."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_training.history import Spec, read


def folder(shared: Path, name: str) -> Path:
    path = shared / "data" / name
    if not path.is_dir():
        pytest.skip(f"no data set {path}")
    return path


def test_skab_recordings_have_eight_channels_and_labels(shared: Path) -> None:
    history = read([folder(shared, "skab")], Spec())
    assert len(history.channels) == 8 and history.interval_s == 1
    labelled = [each for each in history.recordings if each.labels is not None]
    assert len(labelled) == len(history.recordings) - 1 and all(each.labels.any() for each in labelled)


def test_tep_recordings_have_52_channels(shared: Path) -> None:
    history = read([folder(shared, "tep")], Spec())
    assert len(history.channels) == 52 and history.interval_s == 180
    assert {channel.role for channel in history.channels} == {"measured"}
    faults = [each for each in history.recordings if "fault" in each.name]
    assert all(each.labels.nonzero()[0][0] == 160 for each in faults)


def test_nab_series_have_their_windows(shared: Path) -> None:
    data = folder(shared, "nab")
    counts = {}
    for file in sorted(data.glob("*.csv")):
        (recording,) = read([file], Spec(events=str(data / "windows.json"))).recordings
        counts[file.stem] = len(recording.events or ())
    assert counts["nyc_taxi"] == 5 and counts["art_daily_small_noise"] == 0 and sum(counts.values()) == 10
