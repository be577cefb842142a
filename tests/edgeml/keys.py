"""Keys made on the spot for tests: the trainer's and a stranger's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeml.model.signature import public_text, sign
from tests.edgeml.tiny import SHIPPED

RECIPE = Path(__file__).parents[2] / "recipes" / "com.edgeml.Inference.yaml"
PINNED: dict[str, Any] = yaml.safe_load(RECIPE.read_text())["ComponentConfiguration"]["DefaultConfiguration"]["signature"]
"""The options `signature` that ship."""
TRAINER, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
TRUSTED = public_text(TRAINER.public_key())


def shipped_as(folder: Path, key: Ed25519PrivateKey | None, **changes: Any) -> Path:
    """A copy of the shipped bundle with some keys of its manifest changed, signed with `key`; None: unsigned."""
    shutil.copytree(SHIPPED, folder)
    (folder / "manifest.sig").unlink()
    edit(folder, **changes)
    if key is not None:
        sign(folder, key)
    return folder


def edit(folder: Path, **changes: Any) -> None:
    """Change keys of a manifest; its signature stays what it was."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
