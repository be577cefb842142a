"""What Nucleus Lite would say to a recipe, before it is on a device; and where a stock classic nucleus does otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gglocal.errors import RecipeError
from gglocal.platform import LITE_RUNTIMES, Host, has_step, select
from gglocal.policy import has_variables
from gglocal.recipe import Recipe, load_recipe
from gglocal.steps import Lifecycle, Step, parse_lifecycle
from gglocal.variables import BRACED, SYSTEM, recipe_variable

REFUSED, FAILS, IGNORED, CLASSIC = "refused", "fails", "ignored", "classic"
MAX_RECIPE_BYTES = 8196
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Finding:
    """One sentence about a recipe.

    Attributes:
        kind: `refused`: Lite does not take the recipe; `fails`: it takes it and a step goes wrong; `ignored`: it leaves
            something out; `classic`: Lite is content, and the classic nucleus is not.
    """

    kind: str
    text: str


def lint_file(path: Path, host: Host | None = None) -> list[str]:
    """What Lite refuses, or fails on, in the recipe file, and what works on Lite alone: a sentence each; empty: it is fit for both.

    Args:
        host: the core device; by default like this machine.
    """
    try:
        recipe = load_recipe(path, text_scalars=True)
    except RecipeError as fault:
        return [str(fault)]
    return [f"{path}: {finding.text}" for finding in findings(recipe, host or Host.detect()) if finding.kind != IGNORED]


def findings(recipe: Recipe, host: Host) -> list[Finding]:
    """All that Lite has to say."""
    return [Finding(kind, text) for kind, text in _findings(recipe, host)]


def _findings(recipe: Recipe, host: Host) -> Iterator[tuple[str, str]]:
    for where, name in recipe.misspelt:
        yield REFUSED, f"the key {where} is spelt {name}, and keys are case-sensitive on Nucleus Lite"
    for key in recipe.unknown:
        yield IGNORED, f"the key {key} is unknown and ignored"
    if recipe.component_type != "aws.greengrass.generic":
        yield REFUSED, f"ComponentType is {recipe.component_type}; Nucleus Lite runs aws.greengrass.generic only"
    if recipe.path.is_file() and recipe.path.stat().st_size > MAX_RECIPE_BYTES:
        yield FAILS, f"it has {recipe.path.stat().st_size} bytes; Nucleus Lite reads recipes of at most {MAX_RECIPE_BYTES}"
    if has_variables(recipe.default_configuration.get("accessControl")):
        yield CLASSIC, (
            "accessControl has a recipe variable, which classic fills in only with the option interpolateComponentConfiguration;"
            " write + for a level of an IoT Core topic, as a/+/b for a/{iot:thingName}/b"
        )
    if isinstance(recipe.lifecycle, list):
        yield REFUSED, "the global Lifecycle is a list; write a map with the key all or linux"
    selected = select(recipe, host, lite=True)
    if selected is None:
        yield REFUSED, _why_none(recipe, host)
        return
    if not has_step(selected.lifecycle):
        yield REFUSED, "the lifecycle has none of the steps bootstrap, install, startup, run; Nucleus Lite needs one"
    try:
        lifecycle = parse_lifecycle(selected.lifecycle, str(recipe.path))
    except RecipeError as fault:
        yield REFUSED, str(fault).removeprefix(f"{recipe.path}: ")
        return
    yield from _of_lifecycle(lifecycle)


def _of_lifecycle(lifecycle: Lifecycle) -> Iterator[tuple[str, str]]:
    for key, value in lifecycle.setenv:
        yield from _of_setenv("Setenv", key, value)
    for step in lifecycle.steps.values():
        if step.name in ("shutdown", "recover", "uninstall"):
            yield IGNORED, f"Nucleus Lite does not run the step {step.name}; it is ignored"
            continue
        yield from _of_step(step)
    if lifecycle.get("startup") and lifecycle.get("run"):
        yield IGNORED, "there is a startup step, so the run step is ignored; keep one of them"


def _of_step(step: Step) -> Iterator[tuple[str, str]]:
    if step.skip_if is not None:
        yield REFUSED, f"{step.name}/Skipif is not supported by Nucleus Lite; test for it inside the script"
    yield from _of_text(f"{step.name}/Script", step.script)
    for key, value in step.setenv:
        yield from _of_setenv(f"{step.name}/Setenv", key, value)


def _of_setenv(where: str, key: str, value: str) -> Iterator[tuple[str, str]]:
    if not _ENV_NAME.fullmatch(key):
        yield FAILS, f"{where}/{key} is no name for an environment variable on Nucleus Lite; use letters, digits and _"
    yield from _of_text(f"{where}/{key}", value)


def _of_text(where: str, text: str) -> Iterator[tuple[str, str]]:
    for found in BRACED.finditer(text):
        variable = recipe_variable(found[1])
        if variable is None:
            yield FAILS, f"{where} holds {found[0]}; Nucleus Lite takes every brace for a recipe variable, so move it to a file"
        elif variable[0] is not None:
            yield REFUSED, f"{where} holds {found[0]}; Nucleus Lite knows no variables of other components"
        elif variable[1] != "configuration" and f"{variable[1]}:{variable[2]}" not in SYSTEM:
            yield REFUSED, f"{where} holds {found[0]}; known are {', '.join('{' + name + '}' for name in SYSTEM)}"
    if "{" in BRACED.sub("", text):
        yield FAILS, f"{where} holds a brace that is not closed at once; Nucleus Lite takes it for a recipe variable"


def _why_none(recipe: Recipe, host: Host) -> str:
    if not recipe.manifests:
        return 'it has no Manifests; add one with Platform: {os: linux, runtime: "*"}'
    if not any((manifest.platform or {}).get("runtime") in LITE_RUNTIMES for manifest in recipe.manifests):
        return 'no manifest is for Nucleus Lite; add runtime: "*" to its Platform, or use the profile classic'
    if any("/" in value for manifest in recipe.manifests for value in (manifest.platform or {}).values()):
        return f"no manifest fits {host} on Nucleus Lite, which takes no regular expressions in Platform; write one manifest each"
    return (
        f"no manifest with a lifecycle fits {host} on Nucleus Lite; check Platform (os and runtime are needed) and that the"
        " global Lifecycle stands under all or linux"
    )
