"""Selects the manifest and the lifecycle of a recipe for this machine, as the nucleus does."""

from __future__ import annotations

import platform as machine
import re
from dataclasses import dataclass
from typing import Any

from gglocal.recipe.key_case import LITE_STEPS
from gglocal.recipe.parser import Manifest, Recipe

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "windows"}
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "i386": "x86", "i686": "x86", "aarch64": "aarch64", "arm64": "aarch64"}
_DETAILS = ("armv6l", "armv7l", "armv8l", "armv6b", "armv7b", "armv8b")
_ALL = "all"
LITE_RUNTIMES = ("*", "aws_nucleus_lite")


@dataclass(frozen=True)
class Host:
    """The attributes of a core device, which a manifest's `Platform` must match."""

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
    """The first matching manifest, with its own lifecycle or its part of the global one; None: no manifest matches."""
    return _select_lite(recipe, host) if lite else _select_classic(recipe, host)


def _select_classic(recipe: Recipe, host: Host) -> Selected | None:
    for manifest in recipe.manifests:
        if all(_matches(key, host.attributes.get(key), required) for key, required in (manifest.platform or {}).items()):
            return Selected(manifest, manifest.lifecycle or _from_global(recipe, manifest))
    return None


def _matches(key: str, label: str | None, required: str) -> bool:
    if required == "*":
        return True
    if not label:
        return False
    if len(required) >= 2 and required.startswith("/") and required.endswith("/"):
        return re.fullmatch(required[1:-1], label) is not None
    return required == label or key in ("os", "architecture") and required in (_ALL, "any")


def _from_global(recipe: Recipe, manifest: Manifest) -> dict[str, Any]:
    words = {_ALL}.union(*(each.selections or () for each in recipe.manifests))
    found = _filtered(recipe.lifecycle, words, manifest.selections or ()) if isinstance(recipe.lifecycle, dict) else None
    return found if isinstance(found, dict) else {}


def _filtered(source: Any, words: set[str], selections: tuple[str, ...]) -> Any:
    """Resolve selection keys on every level: the first existing one of `selections`, else `all`; None: nothing matches."""
    if not isinstance(source, dict):
        return source
    if words.isdisjoint(source):
        below = {key: _filtered(item, words, selections) for key, item in source.items()}
        return {key: item for key, item in below.items() if item is not None}
    chosen = next((source[word] for word in (*selections, _ALL) if source.get(word) is not None), None)
    return _filtered(chosen, words, selections)


def _select_lite(recipe: Recipe, host: Host) -> Selected | None:
    """Select as Nucleus Lite: no regular expressions, `runtime` and `os` are required, `Selections` are `all` and `linux`."""
    for manifest in recipe.manifests:
        platform = manifest.platform or {}
        matches = (
            platform.get("runtime") in LITE_RUNTIMES
            and platform.get("os") in (host.attributes["os"], "*", _ALL)
            and platform.get("architecture", "*") in ("", "*", host.attributes["architecture"])
        )
        if not matches:
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
    """Whether the lifecycle has a step that Nucleus Lite runs."""
    return any(lifecycle.get(step) for step in LITE_STEPS)
