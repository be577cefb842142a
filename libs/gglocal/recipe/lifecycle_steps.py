"""The steps of a selected lifecycle: `install`, `startup`, `run` and the rest, each a string or an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gglocal.errors import RecipeError
from gglocal.recipe.key_case import FIELDS, STEPS

DEFAULT_TIMEOUT_S: dict[str, float | None] = {
    "bootstrap": 120,
    "install": 120,
    "startup": 120,
    "run": None,
    "shutdown": 15,
    "recover": 60,
    "uninstall": 120,
}
"""Seconds; None: no limit."""


@dataclass(frozen=True)
class Step:
    """One lifecycle step, before interpolation.

    Attributes:
        timeout: seconds, possibly as a recipe variable; None: the default of the step.
    """

    name: str
    script: str
    timeout: str | None = None
    setenv: tuple[tuple[str, str], ...] = ()
    privileged: bool = False
    skip_if: str | None = None


@dataclass(frozen=True)
class Lifecycle:
    setenv: tuple[tuple[str, str], ...]
    steps: dict[str, Step]

    def get(self, name: str) -> Step | None:
        return self.steps.get(name)


def parse_lifecycle(raw: dict[str, Any], where: str) -> Lifecycle:
    """Parse the steps in `raw`; other keys are ignored.

    Args:
        where: the recipe, for errors.

    Raises:
        RecipeError: a step is neither text nor an object with a Script, or a field has the wrong type.
    """
    steps = {}
    for name in STEPS:
        value = raw.get(name)
        if value is None or value == "":
            continue
        steps[name] = _step(name, value, where)
    return Lifecycle(_setenv(raw.get("Setenv"), "", where), steps)


def timeout_seconds(text: str | None, step: str, where: str) -> float | None:
    """The seconds in an interpolated `Timeout`, or the step's default.

    Raises:
        RecipeError: the text is not a positive number.
    """
    if text is None:
        return DEFAULT_TIMEOUT_S[step]
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not seconds >= 0:
        raise RecipeError(f"{where}: {step}/Timeout is {text!r}; write a positive number of seconds")
    return seconds


def _step(name: str, value: Any, where: str) -> Step:
    if isinstance(value, str):
        return Step(name, value)
    if not isinstance(value, dict):
        raise RecipeError(f"{where}: {name} is a {type(value).__name__}; write the script, or a map with Script")
    if not isinstance(value.get("Script"), str):
        raise RecipeError(f"{where}: {name} has no Script that is a string; its fields are {', '.join(FIELDS)}")
    privileged = value.get("RequiresPrivilege", False)
    if str(privileged).lower() not in ("true", "false"):
        raise RecipeError(f"{where}: {name}/RequiresPrivilege is {privileged!r}; write true or false")
    timeout, skip_if = value.get("Timeout"), value.get("Skipif")
    if isinstance(timeout, (bool, dict, list)):
        raise RecipeError(f"{where}: {name}/Timeout is {timeout!r}; write a number of seconds")
    return Step(
        name,
        value["Script"],
        timeout=None if timeout is None else str(timeout),
        setenv=_setenv(value.get("Setenv"), f"{name}/", where),
        privileged=str(privileged).lower() == "true",
        skip_if=None if skip_if is None else str(skip_if),
    )


def _setenv(value: Any, above: str, where: str) -> tuple[tuple[str, str], ...]:
    if value is None or value == "":
        return ()
    if not isinstance(value, dict):
        raise RecipeError(f"{where}: {above}Setenv is {value!r}; write a map of names and values")
    pairs = []
    for key, item in value.items():
        if not key or "=" in str(key) or isinstance(item, (dict, list)):
            raise RecipeError(f"{where}: {above}Setenv/{key} is {item!r}; write a name without = and a plain value")
        pairs.append((str(key), str(item).lower() if isinstance(item, bool) else "" if item is None else str(item)))
    return tuple(pairs)
