"""The keys of a recipe, and how to find keys with the wrong case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

STEPS = ("bootstrap", "install", "startup", "run", "shutdown", "recover", "uninstall")
"""Lifecycle steps, in the order of a component's life."""
LITE_STEPS = STEPS[:4]
"""The steps that Nucleus Lite runs."""

FIELDS = ("Script", "Timeout", "Setenv", "RequiresPrivilege", "Skipif")

_ANY = "*"
_ARTIFACT = {
    "Uri": None,
    "Unarchive": None,
    "Digest": None,
    "Algorithm": None,
    "Permission": {"Read": None, "Execute": None},
}
_LIFECYCLE = "lifecycle"
_RECIPE: dict[str, Any] = {
    "RecipeFormatVersion": None,
    "ComponentName": None,
    "ComponentVersion": None,
    "ComponentDescription": None,
    "ComponentPublisher": None,
    "ComponentType": None,
    "ComponentSource": None,
    "ComponentConfiguration": {"DefaultConfiguration": None},
    "ComponentDependencies": {_ANY: {"VersionRequirement": None, "DependencyType": None}},
    "Manifests": {
        "Name": None,
        "Platform": None,
        "Selections": None,
        "Lifecycle": _LIFECYCLE,
        "Artifacts": _ARTIFACT,
    },
    "Lifecycle": _LIFECYCLE,
}


def normalize_case(document: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Spell every known key as documented.

    Returns:
        The recipe; and for each misspelled key, its location (`Manifests/0/lifecycle`) and its documented name (`Lifecycle`).
        Unknown keys remain unchanged.
    """
    misspelled: list[tuple[str, str]] = []
    return _normalized(document, _RECIPE, "", misspelled), misspelled


def unknown_keys(document: dict[str, Any]) -> list[str]:
    """Top-level keys that no nucleus knows; they are ignored."""
    return [key for key in document if key not in _RECIPE]


def _normalized(value: Any, known: Any, where: str, wrong: list[tuple[str, str]]) -> Any:
    if known is None:
        return value
    if isinstance(value, list):
        return [_normalized(item, known, f"{where}{at}/", wrong) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    return dict(_pairs(value, known, where, wrong))


def _pairs(value: dict[str, Any], known: Any, where: str, wrong: list[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    if known == _LIFECYCLE:
        # Selection keys may occur on any level, so lifecycle keys are looked up on every level.
        names = {word: None if word == "Setenv" else _LIFECYCLE for word in (*STEPS, *FIELDS)}
        below: Any = _LIFECYCLE
    else:
        names, below = known, known.get(_ANY)
    folded = {name.lower(): name for name in names}
    for key, item in value.items():
        name = folded.get(str(key).lower(), str(key))
        if name != key:
            wrong.append((f"{where}{key}", name))
        yield name, _normalized(item, names.get(name, below), f"{where}{key}/", wrong)
