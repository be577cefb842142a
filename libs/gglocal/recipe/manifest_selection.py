"""Which manifest of a recipe, and which lifecycle, a nucleus selects on this machine."""

from __future__ import annotations

import platform as machine
import re
from dataclasses import dataclass
from typing import Any

from gglocal.recipe.key_case import STEPS
from gglocal.recipe.parser import Manifest, Recipe

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "windows"}
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "i386": "x86", "i686": "x86", "aarch64": "aarch64", "arm64": "aarch64"}
_DETAILS = ("armv6l", "armv7l", "armv8l", "armv6b", "armv7b", "armv8b")
_ALL = "all"
LITE_RUNTIMES = ("*", "aws_nucleus_lite")


@dataclass(frozen=True)
class Host:
    """The attributes of a core device that a manifest's `Platform` is compared with."""

    attributes: dict[str, str]

    @classmethod
    def detect(cls) -> Host:
        name = machine.machine().lower()
        found = {
            "os": _SYSTEMS.get(machine.system(), "unknown"),
            "architecture": _ARCHITECTURES.get(name, "arm" if name.startswith("arm") else "unknown"),
        }
        if name in _DETAILS:
            found["architecture.detail"] = name
        return cls(found)

    def __str__(self) -> str:
        return " ".join(self.attributes.values())


@dataclass(frozen=True)
class Selected:
    manifest: Manifest
    lifecycle: dict[str, Any]


def select(recipe: Recipe, host: Host, *, lite: bool) -> Selected | None:
    """The manifest that comes first and fits, with its own lifecycle or its part of the global one; None if none fits."""
    return _select_lite(recipe, host) if lite else _select_classic(recipe, host)


def _select_classic(recipe: Recipe, host: Host) -> Selected | None:
    for manifest in recipe.manifests:
        if all(_satisfied(key, host.attributes.get(key), wanted) for key, wanted in (manifest.platform or {}).items()):
            return Selected(manifest, manifest.lifecycle or _from_global(recipe, manifest))
    return None


def _satisfied(key: str, label: str | None, wanted: str) -> bool:
    if wanted == "*":
        return True
    if not label:
        return False
    if len(wanted) >= 2 and wanted.startswith("/") and wanted.endswith("/"):
        return re.fullmatch(wanted[1:-1], label) is not None
    return wanted == label or key in ("os", "architecture") and wanted in (_ALL, "any")


def _from_global(recipe: Recipe, manifest: Manifest) -> dict[str, Any]:
    words = {_ALL}.union(*(each.selections or () for each in recipe.manifests))
    found = _filtered(recipe.lifecycle, words, manifest.selections or ()) if isinstance(recipe.lifecycle, dict) else None
    return found if isinstance(found, dict) else {}


def _filtered(source: Any, words: set[str], wanted: tuple[str, ...]) -> Any:
    """Resolve selection keys on every level: the first of `wanted` that is there, else `all`; None: nothing fits."""
    if not isinstance(source, dict):
        return source
    if words.isdisjoint(source):
        below = {key: _filtered(item, words, wanted) for key, item in source.items()}
        return {key: item for key, item in below.items() if item is not None}
    chosen = next((source[word] for word in (*wanted, _ALL) if source.get(word) is not None), None)
    return _filtered(chosen, words, wanted)


def _select_lite(recipe: Recipe, host: Host) -> Selected | None:
    """As Nucleus Lite: no regular expressions, `runtime` and `os` are needed, `Selections` are `all` and `linux`."""
    for manifest in recipe.manifests:
        wanted = manifest.platform or {}
        fits = (
            wanted.get("runtime") in LITE_RUNTIMES
            and wanted.get("os") in (host.attributes["os"], "*", _ALL)
            and wanted.get("architecture", "*") in ("", "*", host.attributes["architecture"])
        )
        if not fits:
            continue
        lifecycle = manifest.lifecycle or _lite_global(recipe, manifest)
        if lifecycle is not None:
            return Selected(manifest, lifecycle)
    return None


def _lite_global(recipe: Recipe, manifest: Manifest) -> dict[str, Any] | None:
    found = None
    for word in manifest.selections or (_ALL,):
        if word in (_ALL, "linux") and isinstance(recipe.lifecycle, dict) and isinstance(recipe.lifecycle.get(word), dict):
            found = recipe.lifecycle[word]
    return found


def has_step(lifecycle: dict[str, Any]) -> bool:
    """Whether there is a step that Nucleus Lite runs."""
    return any(lifecycle.get(step) for step in STEPS[:4])
