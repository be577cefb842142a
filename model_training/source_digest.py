"""Digest of the training code of a model, for the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent
SHARED = ("calibration.py", "tflite_export.py")


def digest(package: str | None, others: Sequence[str] = ()) -> str:
    """SHA-256 of a kind's package, such as `model_training.regression`, and of the modules that all kinds share.

    Args:
        others: further files, as paths from this folder.
    """
    own = sorted((ROOT.parent / str(package).replace(".", "/")).glob("*.py"))
    found = hashlib.sha256()
    for path in (*own, *(ROOT / name for name in (*SHARED, *others))):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
