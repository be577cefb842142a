"""What an asset remembers over a restart of the process: one JSON file each, replaced as a whole."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from edgeml.files import plain_bytes

log = logging.getLogger(__name__)


class Checkpoint:
    """The file of one asset. It belongs to a configuration: with another one the asset begins anew.

    Args:
        work: the component's directory.
        asset: the asset's name.
        configuration: what the content depends on, JSON-able.
    """

    def __init__(self, work: Path, asset: str, configuration: Any) -> None:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", asset)[:40] + "-" + hashlib.sha256(asset.encode()).hexdigest()[:8]
        self.path = work / f"asset-{name}.json"
        self._digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()

    def load(self) -> dict[str, Any] | None:
        """The content, or None if there is none for this configuration."""
        try:
            stored = json.loads(plain_bytes(self.path))
            if stored["digest"] == self._digest:
                return dict(stored["content"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as fault:
            log.warning("%s cannot be read (%s); this asset begins anew", self.path, fault)
            return None
        log.info("%s is of another configuration; this asset begins anew", self.path)
        return None

    def save(self, content: dict[str, Any], durable: bool = False) -> None:
        """Replace the content; `durable`: it outlives a power cut too, which costs a wait for the disk."""
        beside = self.path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"digest": self._digest, "content": content}))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(self.path)
