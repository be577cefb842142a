"""Cache of verdicts by the digests of a method's definition and of a recording's rows."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from model_training.component_path import ROOT
from model_training.evaluation.recordings import Recording

CACHE_FOLDER = ROOT / "build" / "baselines"
BUNDLED_FOLDER = Path(__file__).parent / "known"
"""Verdicts in the repository, of methods that take minutes."""


class Cache:
    """Cached verdicts of one method.

    Attributes:
        missing: number of requested verdicts that were neither cached nor computed.
    """

    def __init__(self, name: str, definition: Any, folder: Path = CACHE_FOLDER, bundled: Path = BUNDLED_FOLDER) -> None:
        """Args:
        definition: plain data; verdicts of another definition are not used.
        """
        digest = hashlib.sha256(json.dumps([name, definition], sort_keys=True).encode()).hexdigest()[:12]
        self._file = folder / f"{name.replace(' ', '-')}-{digest}.json"
        self._verdicts: dict[str, str] = {}
        for file in (bundled / self._file.name, self._file):
            if file.is_file():
                self._verdicts |= json.loads(file.read_text(encoding="utf-8"))
        self._changed = False
        self.missing = 0

    def get(self, recording: Recording, compute: Callable[[Recording], np.ndarray] | None, extra: str = "") -> np.ndarray:
        """Verdicts (n,) bool, computed if they are not cached.

        Args:
            compute: the method, or None if it cannot run here. In that case the verdicts are False and counted in `missing`.
            extra: text of further settings that affect the verdicts.
        """
        key = self._key(recording, extra)
        if key not in self._verdicts:
            if compute is None:
                self.missing += 1
                return np.zeros(len(recording), bool)
            self._verdicts[key] = base64.b64encode(np.packbits(compute(recording)).tobytes()).decode()
            self._changed = True
        bits = np.frombuffer(base64.b64decode(self._verdicts[key]), np.uint8)
        return np.unpackbits(bits)[: len(recording)].astype(bool)

    def save(self) -> None:
        """Write new verdicts to the cache folder."""
        if not self._changed:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(self._verdicts, indent=0, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(self._file)
        self._changed = False

    @staticmethod
    def _key(recording: Recording, extra: str) -> str:
        sha = hashlib.sha256(extra.encode() + b"\0")
        for array in (recording.times, recording.values):
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()[:24]
