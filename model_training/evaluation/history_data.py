"""Recordings of any layout for a bundle: its channels, found in the tables of a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgeml.errors import BundleError
from edgeml.model.manifest import Manifest
from model_training import component_path as _paths  # noqa: F401  the components become importable
from model_training.evaluation.recordings import Recording as Row
from model_training.history import History, HistoryError, Recording, Spec, read
from model_training.history.spec import ChannelSpec
from sensor_ingestion.quality import QualityChecker
from sensor_ingestion.sources.base import Channel
from sensor_ingestion.sources.csv_layouts import LAYOUTS


@dataclass(frozen=True)
class HistoryData:
    """A history in the channels of a bundle.

    Attributes:
        names: for each file of the history, its name in the predictions: as given, or relative to the given folder.
        inputs: for each recording, what the scorer gets.
    """

    history: History
    names: tuple[str, ...]
    inputs: tuple[Row, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """The name of each recording in reports: that of its file, with its asset if the file holds several."""
        titles = []
        for each in self.recordings:
            file = self.history.files[int(each.file[0])].file
            titles.append(self.names[int(each.file[0])] + each.name[len(file) :] if each.name.startswith(file) else each.name)
        return tuple(titles)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        return self.history.recordings


def read_for(manifest: Manifest, paths: Sequence[Path], spec: Spec) -> HistoryData:
    """Read recordings of any layout in the channels of a bundle.

    Raises:
        HistoryError: see `model_training.history.read`.
        BundleError: rows of another interval, or a channel in another unit.
    """
    history = _read(manifest, paths, spec)
    if not manifest.interval_s / 2 < history.interval_s < manifest.interval_s * 2:
        raise BundleError(
            f"{history.files[0].file} has one row every {history.interval_s:g} s, model {manifest.name} needs one every "
            f"{manifest.interval_s:g} s; resample the data"
        )
    units = {channel.name: channel.unit for channel in history.channels}
    wrong = [each for each in manifest.channels if units[each.name] and each.unit and unit_text(units[each.name]) != unit_text(each.unit)]
    if wrong:
        raise BundleError(
            f"{history.files[0].file} has channel {wrong[0].name!r} in {units[wrong[0].name]}, model {manifest.name} needs it in "
            f"{wrong[0].unit}; convert the column, or correct its unit in the spec"
        )
    channels = tuple(Channel(each.name, each.unit, stuck_after_s=0.0) for each in manifest.channels)
    return HistoryData(history, _names(history, paths), tuple(_input(each, channels, manifest) for each in history.recordings))


def unit_text(unit: str) -> str:
    """A unit in one spelling: `degC` and `°C` are the same."""
    return unit.strip().casefold().replace("deg", "°").replace(" ", "")


def _read(manifest: Manifest, paths: Sequence[Path], spec: Spec) -> History:
    """By the channels' names; else, if these are of a layout that SensorIngestion knows, by the headings of that layout."""
    layout = next((each for each in LAYOUTS.values() if set(manifest.names) <= set(each.columns)), None)
    if layout is None or spec.channels:
        return read(paths, spec, manifest.names)
    known = {name: ChannelSpec(column=layout.columns[name]) for name in manifest.names}
    try:
        return read(paths, msgspec.structs.replace(spec, channels=known), manifest.names)
    except HistoryError:
        return read(paths, spec, manifest.names)


def _input(recording: Recording, channels: tuple[Channel, ...], manifest: Manifest) -> Row:
    """What the scorer gets. No value counts as stuck, because after how long it does is a setting of the device."""
    checker = QualityChecker(channels, max(manifest.longest_gap_s, manifest.interval_s), stopped_channel="")
    return Row(
        "",
        recording.name,
        channels,
        recording.row,
        (),
        recording.times,
        recording.values,
        recording.labels,
        flags=checker.check(recording.times, recording.values),
    )


def _names(history: History, paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the files in the predictions; the whole path where two would be the same."""
    folders = [path for path in paths if path.is_dir()]
    names = []
    for each in history.files:
        inside = next((folder for folder in folders if Path(each.file).is_relative_to(folder) and Path(each.file) != folder), None)
        names.append(each.file if inside is None else Path(each.file).relative_to(inside).as_posix())
    return tuple(each.file if names.count(name) > 1 else name for each, name in zip(history.files, names, strict=True))


def first_decided(confidence: np.ndarray) -> int:
    """The first row with a decision; the number of rows if there is none."""
    decided = ~np.isnan(confidence)
    return int(decided.argmax()) if decided.any() else len(confidence)
