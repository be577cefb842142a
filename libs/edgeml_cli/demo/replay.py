"""A model and recordings of the user's own as a scenario: `edgeml demo --bundle DIR --data FILE...`.

The recordings may have any layout that training reads. Their rows are written as CSV files of one layout, which SensorIngestion replays.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from model_training.history import History, Recording, load_spec, read
from model_training.training_request import TrainingError

from edgeml.errors import BundleError
from edgeml.model.bundle import Bundle
from edgeml.model.signature import pinned
from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.build.model_component import asset_quality, component_name, configuration, signer
from edgeml_cli.demo.run_monitor import SOURCE
from edgeml_cli.demo.scenario import ASSET, DISPATCHER, Expect, Scenario
from edgeml_cli.demo.statistics import Statistics
from edgeml_cli.demo.summary import duration, plural

TIME = "time"
SPEED = 0.0
"""As fast as possible."""
MAX_ASSETS = 16
MIN_LIMIT_S, ROWS_PER_S = 120.0, 200.0
"""A run is aborted after the former, and a second more for so many rows."""


class ReplayError(Exception):
    """The bundle or the data cannot be replayed; the text is one sentence."""


def replayed(folder: Path, data: Sequence[Path], spec: Path | None, speed: float, out: Path) -> Scenario:
    """The recordings, scored by the bundle.

    Args:
        folder: a signed bundle.
        speed: seconds of event time per second of wall-clock time; 0: as fast as possible.
        out: folder for the rows to replay.

    Raises:
        ReplayError: the bundle is not signed, is damaged, or is for other channels; or a recording cannot be read.
    """
    key = signer(folder)
    try:
        bundle = Bundle.load(folder, pinned(key, "", required=True))
        history = read(data, load_spec(spec), require=bundle.manifest.names)
    except (BundleError, TrainingError) as fault:
        raise ReplayError(str(fault)) from None
    recordings = history.recordings
    if len(recordings) > MAX_ASSETS:
        raise ReplayError(f"{plural(len(recordings), 'recording')} are too many at once; name at most {MAX_ASSETS} files or assets")
    assets = {
        asset: write(history, recording, out / f"{asset}.csv")
        for asset, recording in zip(_names(bundle, recordings), recordings, strict=True)
    }
    rows, span_s = sum(map(len, recordings)), _span_s(recordings)
    return Scenario(
        title=f"{bundle.manifest.name} {bundle.manifest.version} on {', '.join(Path(each.name).name for each in recordings)}",
        config=_config(bundle, key, history, assets, speed),
        rows=rows,
        expect=_some_row_scored(bundle),
        limit_s=MIN_LIMIT_S + rows / ROWS_PER_S + (span_s / speed if speed else 0.0),
        onset=_onset(recordings),
        pace=f"{plural(rows, 'row')} of {duration(span_s)} are replayed "
        + (f"{speed:g} times faster than real time." if speed else "as fast as possible, at the times of the recording."),
        bundle=folder,
        component=(component_name(bundle.manifest.name), bundle.manifest.version),
        span_s=span_s,
    )


def write(history: History, recording: Recording, path: Path) -> Path:
    """Write a recording as CSV: the time in ISO 8601, and a column for each channel; a missing value is an empty cell."""
    columns = [["" if value != value else f"{value:.9g}" for value in column.tolist()] for column in recording.values.T.astype(np.float64)]
    lines = [",".join([TIME, *(f"c{place}" for place in range(len(columns)))])]
    lines += [",".join(row) for row in zip((to_iso(time) for time in recording.times.tolist()), *columns, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _names(bundle: Bundle, recordings: Sequence[Recording]) -> list[str]:
    """An asset for each recording, named after the model."""
    name = bundle.manifest.name.replace("_", "-")
    return [name] if len(recordings) == 1 else [f"{name}-{number}" for number in range(1, len(recordings) + 1)]


def _config(bundle: Bundle, key: str, history: History, assets: dict[str, Path], speed: float) -> dict[str, Any]:
    """The configuration to merge, by component: that of the packaged model, and an asset for each recording."""
    config = {name: dict(update["merge"]) for name, update in yaml.safe_load(configuration(bundle, key)).items()}
    columns = {channel.name: f"c{place}" for place, channel in enumerate(history.channels)}
    units = {channel.name: channel.unit for channel in bundle.manifest.channels}
    quality = asset_quality(bundle.manifest) or {"max_gap_s": bundle.manifest.longest_gap_s}
    given: dict[str, Any] = {ASSET: {"enabled": False}}  # the simulated pump of the recipe
    for asset, path in assets.items():
        options = {"path": str(path.resolve()), "time_column": TIME, "columns": columns, "units": units, "speed": speed}
        given[asset] = {"source": "csv", "options": options, "quality": quality}
    config[SOURCE] = {"assets": given}
    # A recording cannot be stopped: alarms are raised, and no command is sent.
    config.setdefault(DISPATCHER, {})["actions"] = {"command": {"enabled": False}}
    return config


def _onset(recordings: Sequence[Recording]) -> int | None:
    """Event time of the first row that is marked as a fault."""
    marked = [recording.times[np.argmin(normal)] for recording in recordings if not (normal := recording.normal()).all()]
    return int(min(marked)) if marked else None


def _span_s(recordings: Sequence[Recording]) -> float:
    return max(float(recording.times[-1] - recording.times[0]) for recording in recordings) / SECOND


def _some_row_scored(bundle: Bundle) -> Expect:
    reference = bundle.manifest.reference
    needed = reference.min_rows + reference.delay if reference else bundle.manifest.min_rows

    def expect(stats: Statistics) -> list[str]:
        if stats.scored:
            return []
        reasons = ", ".join(stats.reasons) or "none"
        return [f"no row was scored (reasons: {reasons}); the model needs {plural(needed, 'row')} before its first decision"]

    return expect
