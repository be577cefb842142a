"""Baselines on disk, so that each asset's normal running is known after a restart."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from edgeml.errors import BundleError
from edgeml.model.baseline import Baseline
from edgeml.model.manifest import Manifest
from edgeml.storage.asset_filenames import file_name
from edgeml.storage.regular_files import plain_bytes
from edgeml.storage.retrying_writer import RetryingWriter

MAX_NAME_BYTES = 255
UNWRITTEN = ".unwritten"
"""Suffix of an empty file that marks a baseline which could not be written: a full disk usually still has room for a name."""


class LostBaselineError(BundleError):
    """An asset's baseline is lost."""


class BaselineFiles:
    """One JSON file for each asset and kind of model input, in `folder`.

    Raises:
        OSError: the folder cannot be created.
    """

    def __init__(self, folder: Path, manifest: Manifest, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._manifest = folder, manifest
        self._writer = RetryingWriter(monotonic)
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def faults(self) -> tuple[str, ...]:
        """Baselines that could not be written yet, one sentence each."""
        return self._writer.faults

    def tick(self) -> None:
        """Retry the baselines that could not be written."""
        self._writer.tick()

    def load(self, asset: str) -> Baseline | None:
        """The saved baseline, or None if there never was one.

        Raises:
            LostBaselineError: there was one, and it is damaged, of other inputs, or could not be written. The machine may be faulty by now,
                so only a person may order that it is learned again.
        """
        path = self._path(asset)
        try:
            return Baseline.from_dict(json.loads(plain_bytes(self._found(asset, path))), self._manifest)
        except FileNotFoundError:
            if not path.with_suffix(UNWRITTEN).exists():
                return None
            raise LostBaselineError(f"{path} could not be written before the restart") from None
        except (OSError, ValueError, RecursionError, BundleError) as fault:
            raise LostBaselineError(f"{path}: {fault.strerror if isinstance(fault, OSError) else fault}") from None

    def keep(self, asset: str, baseline: Baseline) -> None:
        """Save the baseline; a power cut leaves either the old file or the new one. If it cannot be written, `tick` retries."""
        path = self._path(asset)
        sentence = f"{asset}: the baseline cannot be written to {path} ({{}}); free some space, or a restart loses it"
        if not self._writer.do(asset, lambda: _write(path, baseline), sentence):
            with contextlib.suppress(OSError):
                path.with_suffix(UNWRITTEN).touch()

    def forget(self, asset: str) -> None:
        """Delete the baseline of `asset`, or of every asset if it is empty.

        Raises:
            OSError: a file cannot be removed.
        """
        paths = [self._path(asset)] if asset else self._folder.glob(f"*.{self._manifest.scaling_id}.*")
        self._writer.drop(asset)
        for path in paths:
            for each in {path, path.with_suffix(UNWRITTEN), *([_earlier(path.parent, asset, path)] if asset else [])}:
                each.unlink(missing_ok=True)

    def _found(self, asset: str, path: Path) -> Path:
        earlier = _earlier(self._folder, asset, path)
        return earlier if not path.exists() and earlier.exists() else path

    def _path(self, asset: str) -> Path:
        return self._folder / f"{file_name(asset)}.{self._manifest.scaling_id}.json"


def _earlier(folder: Path, asset: str, path: Path) -> Path:
    """The path in earlier versions, which did not shorten long names."""
    name = f"{quote(asset, safe='')}.{path.name.rsplit('.', 2)[1]}.json"
    return folder / name if len(name) <= MAX_NAME_BYTES else path


def _write(path: Path, baseline: Baseline) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        json.dump(baseline.to_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    path.with_suffix(UNWRITTEN).unlink(missing_ok=True)
