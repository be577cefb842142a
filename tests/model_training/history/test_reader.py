"""Histories of several layouts: what the reader finds by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from model_training.history import Spec, read

from tests.model_training.history.kit import START_NS, measured, table


def test_reader_finds_time_channels_and_interval(tmp_path: Path) -> None:
    history = read([table(tmp_path / "a.csv")], Spec())
    (recording,) = history.recordings
    assert history.names == ("flow", "power") and history.interval_s == 60
    assert recording.times[:2].tolist() == [START_NS, START_NS + 60 * 10**9]
    np.testing.assert_allclose(recording.values, measured(100), rtol=1e-6)
    assert recording.labels is None and recording.events is None and recording.normal().all()
    assert "time column 'time', ISO 8601 without a zone, read as UTC" in history.notes
