"""Models as they are trained, for tests of what takes them: golden windows included, signed by the trainer of `tests.edgeml.keys`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from model_training import golden_samples

from edgeml.model.bundle import save
from edgeml.model.manifest import decode_manifest
from edgeml.model.signature import sign
from tests.edgeml.keys import TRAINER
from tests.edgeml.tiny import SHIPPED


def trained(folder: Path, version: str, key: Ed25519PrivateKey | None = TRAINER, other: bool = False, **changes: Any) -> Path:
    """The shipped model under another version.

    Args:
        key: who signs it; None: nobody.
        other: one bit of its weights is changed: it runs, and is another file.
        changes: keys of its manifest.
    """
    shutil.rmtree(folder, ignore_errors=True)
    text = json.loads((SHIPPED / "manifest.json").read_text()) | changes | {"version": version}
    model = bytearray((SHIPPED / "model.tflite").read_bytes())
    model[len(model) // 2] ^= other
    save(folder, decode_manifest(json.dumps(text).encode(), str(folder)), bytes(model))
    golden_samples.write(folder)
    if key is not None:
        sign(folder, key)
    return folder


def untrue(folder: Path, version: str, key: Ed25519PrivateKey = TRAINER) -> Path:
    """A rightly signed bundle whose model answers its golden windows otherwise than they say."""
    trained(folder, version, None)
    text = json.loads((folder / "golden.json").read_text())
    text["windows"][0]["confidence"] = 0.5
    lie = json.dumps(text).encode()
    manifest = decode_manifest((folder / "manifest.json").read_bytes(), str(folder))
    save(folder, manifest, (folder / "model.tflite").read_bytes(), lie)
    sign(folder, key)
    return folder
