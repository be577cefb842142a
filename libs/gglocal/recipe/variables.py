"""Recipe variables: `{artifacts:path}`, `{configuration:/pointer}`, `{dependency:artifacts:path}` and others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gglocal.errors import VariableError

BRACED = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(r"(?:([.\w-]+):)?([.\w-]+):([^:{}]*)")
SYSTEM = ("artifacts:path", "artifacts:decompressedPath", "work:path", "kernel:rootPath", "iot:thingName")
_SPACES = ("artifacts", "configuration", "iot", "kernel", "work")


@dataclass(frozen=True)
class Scope:
    """Values of the variables of one component.

    Attributes:
        configuration: returns its current configuration, a map.
        dependencies: the scopes of its dependencies, by name.
    """

    component: str
    version: str
    root: Path
    thing_name: str
    configuration: Callable[[], Any]
    dependencies: Mapping[str, Scope] = field(default_factory=dict)

    @property
    def artifacts(self) -> Path:
        return self.root / "packages" / "artifacts" / self.component / self.version

    @property
    def unarchived(self) -> Path:
        return self.root / "packages" / "artifacts-unarchived" / self.component / self.version

    @property
    def work(self) -> Path:
        return self.root / "work" / self.component


def recipe_variable(braced: str) -> tuple[str | None, str, str] | None:
    """Dependency, namespace and key of a text between braces; None: it is not a recipe variable."""
    found = _VARIABLE.fullmatch(braced)
    return (found[1], found[2], found[3]) if found and found[2] in _SPACES else None


def interpolate(text: str, scope: Scope, *, lite: bool, in_script: bool = False) -> str:
    """Replace recipe variables with their values.

    On classic, a variable without a value remains unchanged. On Lite it is an error, and each value in a script is escaped as
    between double quotes. Braces that are not a recipe variable remain unchanged.

    Raises:
        VariableError: a variable has no value, on Lite.
    """

    def replace(found: re.Match[str]) -> str:
        variable = recipe_variable(found[1])
        if variable is None:
            return found[0]
        dependency, space, key = variable
        if dependency is not None and lite:
            raise VariableError(f"{scope.component}: {found[0]} is a variable of another component, which Nucleus Lite does not support")
        target = scope if dependency is None else scope.dependencies.get(dependency)
        value = None if target is None else _value(target, space, key, slash=lite)
        if value is None and lite:
            raise VariableError(f"{scope.component}: recipe variable {found[0]} has no value; {_remedy(space)}")
        if value is None:
            return found[0]
        return re.sub(r'(["\\$`])', r"\\\1", value) if lite and in_script else value

    return BRACED.sub(replace, text)


def interpolate_configuration(value: Any, scope: Scope) -> Any:
    """Replace the system variables in a configuration, as classic does with `interpolateComponentConfiguration`.

    Variables of `configuration` remain unchanged.
    """
    if isinstance(value, dict):
        return {key: interpolate_configuration(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate_configuration(item, scope) for item in value]
    if not isinstance(value, str):
        return value

    def replace(found: re.Match[str]) -> str:
        variable = recipe_variable(found[1])
        return found[0] if variable is None or variable[1] == "configuration" else interpolate(found[0], scope, lite=False)

    return BRACED.sub(replace, value)


def pointer_path(pointer: str) -> list[str]:
    """The keys of a JSON pointer (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _value(scope: Scope, space: str, key: str, *, slash: bool) -> str | None:
    end = "/" if slash else ""
    known: dict[str, str] = {
        "artifacts:path": f"{scope.artifacts}{end}",
        "artifacts:decompressedPath": f"{scope.unarchived}{end}",
        "work:path": f"{scope.work}{end}",
        "kernel:rootPath": str(scope.root),
        "iot:thingName": scope.thing_name,
    }
    if space != "configuration":
        return known.get(f"{space}:{key}")
    value = scope.configuration()
    for part in pointer_path(key):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _remedy(space: str) -> str:
    if space == "configuration":
        return "add the key to DefaultConfiguration or to the deployment's configuration"
    return f"known variables: {', '.join('{' + name + '}' for name in SYSTEM)} and {{configuration:/pointer}}"
