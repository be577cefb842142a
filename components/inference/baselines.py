"""Baselines on disk: what each asset looks like in normal running outlives a restart."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from urllib.parse import quote

from edgeml.bundle import Manifest
from edgeml.errors import BundleError
from edgeml.files import plain_bytes
from edgeml.scaling import Baseline

log = logging.getLogger(__name__)


class Baselines:
    """One JSON file an asset and kind of model input, in `folder`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        folder.mkdir(parents=True, exist_ok=True)

    def load(self, asset: str) -> Baseline | None:
        """The kept baseline, or None. One that is damaged or belongs to other inputs is reported and left alone."""
        path = self._path(asset)
        try:
            return Baseline.from_dict(json.loads(plain_bytes(path)), self._manifest)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, BundleError) as fault:
            log.warning("%s: %s; the baseline of %s is learned anew", path, fault, asset)
            return None

    def keep(self, asset: str, baseline: Baseline) -> None:
        """Write it so that a power failure leaves either the old file or the new one."""
        path = self._path(asset)
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(baseline.to_dict(), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def forget(self, asset: str) -> None:
        """Forget that of `asset`, or of every asset when it is empty."""
        paths = [self._path(asset)] if asset else self._folder.glob(f"*.{self._manifest.scaling_id}.json")
        for path in paths:
            path.unlink(missing_ok=True)

    def _path(self, asset: str) -> Path:
        return self._folder / f"{quote(asset, safe='')}.{self._manifest.scaling_id}.json"
