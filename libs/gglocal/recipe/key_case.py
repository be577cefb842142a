"""How the keys of a recipe are spelt, and how to find those that are spelt with the wrong case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

STEPS = ("bootstrap", "install", "startup", "run", "shutdown", "recover", "uninstall")
"""Lifecycle steps, in the order in which they can come."""

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


def respell(document: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The recipe with every known key spelt as documented.

    Returns:
        The recipe; and for each key that was spelt otherwise, where it stands (`Manifests/0/lifecycle`) and how it is
        documented (`Lifecycle`). Keys that nobody knows stay as they are.
    """
    wrong: list[tuple[str, str]] = []
    return _respelt(document, _RECIPE, "", wrong), wrong


def unknown_keys(document: dict[str, Any]) -> list[str]:
    """Keys of the recipe's first level that no nucleus knows; it ignores them."""
    return [key for key in document if key not in _RECIPE]


def _respelt(value: Any, known: Any, where: str, wrong: list[tuple[str, str]]) -> Any:
    if known is None:
        return value
    if isinstance(value, list):
        return [_respelt(item, known, f"{where}{at}/", wrong) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    return dict(_pairs(value, known, where, wrong))


def _pairs(value: dict[str, Any], known: Any, where: str, wrong: list[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    if known == _LIFECYCLE:
        # Selection keys may stand on any level, so the words of a lifecycle are looked for on every level.
        names = {word: None if word == "Setenv" else _LIFECYCLE for word in (*STEPS, *FIELDS)}
        below: Any = _LIFECYCLE
    else:
        names, below = known, known.get(_ANY)
    folded = {name.lower(): name for name in names}
    for key, item in value.items():
        name = folded.get(str(key).lower(), str(key))
        if name != key:
            wrong.append((f"{where}{key}", name))
        yield name, _respelt(item, names.get(name, below), f"{where}{key}/", wrong)
