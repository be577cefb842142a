"""The digest of the code that made a model, for the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parent
SHARED = ("calibration.py", "tflite_export.py")


def digest(package: str | None) -> str:
    """The SHA-256 of a kind's package, such as `model_training.regression`, and of what all kinds share."""
    own = sorted((ROOT.parent / str(package).replace(".", "/")).glob("*.py"))
    found = hashlib.sha256()
    for path in (*own, *(ROOT / name for name in SHARED)):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
