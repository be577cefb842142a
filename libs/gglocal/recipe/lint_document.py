"""Lint rules for the recipe as a whole: keys, version, sizes, dependencies and access control. Each yields sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gglocal.recipe import access_control
from gglocal.recipe.key_case import STEPS
from gglocal.recipe.lint_case import Case
from gglocal.recipe.variables import BRACED

MAX_RECIPE_BYTES = 8196
MAX_UNIT_BYTES, UNIT_BYTES = 2048, 560
"""Limit of a systemd unit, and its size without descriptions, names and dependencies, with a root such as /var/lib/greengrass."""
MAX_OBJECTS, MAX_LEVELS = 255, 14
"""Limits of a recipe, including its default configuration. A list item is one object; a key of a map and its value are two."""

_NUMBER = r"(?:0|[1-9]\d*)"
_PRE = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{2}}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?")
_COMPARISON = rf"(?:>=|<=|>|<|=)?{_SEMVER.pattern}"
_RANGE = re.compile(rf"{_COMPARISON}(?: {_COMPARISON})*")


def spelling(case: Case) -> Iterator[str]:
    for where, name in case.recipe.misspelled:
        yield f"the key {where} must be spelled {name}; keys are case-sensitive on Nucleus Lite"


def unknown_keys(case: Case) -> Iterator[str]:
    for key in case.recipe.unknown:
        yield f"the key {key} is unknown and ignored"
    for key in case.selected.lifecycle if case.selected else ():
        if key not in (*STEPS, "Setenv"):
            yield f"the key {key} of the lifecycle is not a step and is ignored"


def component_type(case: Case) -> Iterator[str]:
    if case.recipe.component_type != "aws.greengrass.generic":
        yield f"ComponentType is {case.recipe.component_type}; Nucleus Lite runs only aws.greengrass.generic"


def version(case: Case) -> Iterator[str]:
    text = str(case.document.get("ComponentVersion"))
    if not _SEMVER.fullmatch(text):
        yield f"ComponentVersion is {text[:40]!r}; write major.minor.patch without leading zeros"


def prerelease(case: Case) -> Iterator[str]:
    text = str(case.document.get("ComponentVersion"))
    core = text.partition("+")[0].partition("-")
    if core[1]:
        yield f"ComponentVersion is {text}, which Nucleus Lite orders after {core[0]}, because it compares versions as text"


def size(case: Case) -> Iterator[str]:
    path = case.recipe.path
    if path.is_file() and path.stat().st_size > MAX_RECIPE_BYTES:
        yield f"the recipe has {path.stat().st_size} bytes; Nucleus Lite reads at most {MAX_RECIPE_BYTES}"


def objects(case: Case) -> Iterator[str]:
    count, levels = _extent(case.document)
    if count > MAX_OBJECTS:
        yield (
            f"the recipe has {count} objects (two for a key and its value, one for a list item), the limit is {MAX_OBJECTS}; shorten the"
            " default configuration"
        )
    if levels > MAX_LEVELS:
        yield f"the recipe is nested {levels} levels deep, the limit is {MAX_LEVELS}"


def unit_size(case: Case) -> Iterator[str]:
    description = str(case.document.get("ComponentDescription", ""))
    names = sum(2 * len(name) + 40 for name, _ in case.dependencies)
    bytes_ = UNIT_BYTES + len(description.encode()) + 3 * len(case.recipe.name) + names
    if bytes_ > MAX_UNIT_BYTES:
        yield (
            f"its systemd unit has about {bytes_} bytes, the limit is {MAX_UNIT_BYTES}; shorten ComponentDescription, or depend on"
            " fewer components"
        )


def no_description(case: Case) -> Iterator[str]:
    if not case.document.get("ComponentDescription"):
        yield (
            "ComponentDescription is missing; without it, the systemd unit is not part of greengrass-lite.target and is not stopped with it"
        )


def description(case: Case) -> Iterator[str]:
    if re.search(r"[\n\r\\]", str(case.document.get("ComponentDescription", ""))):
        yield "ComponentDescription contains a line break or a backslash, which breaks its systemd unit; write one plain line"


def dependency(case: Case) -> Iterator[str]:
    for name, value in case.dependencies:
        if isinstance(value, dict) and not isinstance(value.get("VersionRequirement"), str):
            yield f"ComponentDependencies/{name} has no VersionRequirement; add one, such as >=1.0.0"


def requirement(case: Case) -> Iterator[str]:
    for name, value in case.dependencies:
        text = value.get("VersionRequirement") if isinstance(value, dict) else None
        if isinstance(text, str) and not _RANGE.fullmatch(text):
            yield (
                f"ComponentDependencies/{name}/VersionRequirement is {text!r}; Nucleus Lite supports =, <, <=, > and >= before three"
                " numbers, separated by one space, as in >=1.2.0 <2.0.0"
            )


def dependency_type(case: Case) -> Iterator[str]:
    for name, value in case.dependencies:
        kind = value.get("DependencyType") if isinstance(value, dict) else "HARD"
        if kind is None:
            yield (
                f"ComponentDependencies/{name} has no DependencyType; Nucleus Lite then neither starts it first nor stops together with it"
            )
        elif kind != "HARD" and str(kind).upper() == "HARD":
            yield f"ComponentDependencies/{name}/DependencyType is {kind!r}, which Nucleus Lite treats as SOFT; write HARD"


def resources(case: Case) -> Iterator[str]:
    for resource in access_control.resources(case.recipe.default_configuration.get("accessControl")):
        if not access_control.well_formed(resource):
            yield (
                f"resource {resource!r} of accessControl is invalid on Nucleus Lite, which supports no ?, and no "
                f"escapes but ${{*}}, ${{?}} and ${{$}}"
            )


def resource_variables(case: Case) -> Iterator[str]:
    for resource in access_control.resources(case.recipe.default_configuration.get("accessControl")):
        if BRACED.search(access_control.unescaped(resource)):
            yield f"resource {resource!r} of accessControl contains a recipe variable, which Nucleus Lite 2.6.0 and older do not replace"


def access_variables(case: Case) -> Iterator[str]:
    if access_control.has_variables(case.recipe.default_configuration.get("accessControl")):
        yield (
            "accessControl contains a recipe variable, which classic replaces only with the option interpolateComponentConfiguration; "
            "write + for a level of an IoT Core topic, as a/+/b for a/{iot:thingName}/b"
        )


def operation_services(case: Case) -> Iterator[str]:
    for service, operation in access_control.operations(case.recipe.default_configuration.get("accessControl")):
        expected = case.services.get(operation, service)
        if expected != service:
            remedy = f"move it to {expected}" if expected else "remove it, it needs no policy"
            yield f"accessControl of {service} lists {operation}, which it cannot grant; {remedy}"


def unknown_operations(case: Case) -> Iterator[str]:
    for service, operation in access_control.operations(case.recipe.default_configuration.get("accessControl")):
        if case.services and operation != "*" and operation not in case.services:
            yield f"accessControl of {service} lists {operation}, which gglocal does not support; check its spelling"


def _extent(value: Any) -> tuple[int, int]:
    """(objects below a value, levels of nesting)."""
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inside is None:
        return 0, 0
    below = [_extent(each) for each in inside]
    own = len(inside) * (2 if isinstance(value, dict) else 1)
    return own + sum(objects for objects, _ in below), 1 + max((depth for _, depth in below), default=0)
