"""Checks a recipe for problems on Nucleus Lite and on a default classic nucleus: one table of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gglocal.errors import RecipeError
from gglocal.recipe import lint_document, lint_manifest, lint_steps
from gglocal.recipe.lint_case import Case
from gglocal.recipe.manifest_selection import Host
from gglocal.recipe.parser import Recipe, load_recipe

REFUSED, FAILS, IGNORED, CLASSIC = "refused", "fails", "ignored", "classic"


@dataclass(frozen=True)
class Finding:
    """One sentence about a recipe.

    Attributes:
        kind: `refused`: Lite rejects the recipe; `fails`: Lite accepts it, but a step, a permission or a deployment from the cloud
            fails; `ignored`: Lite ignores a part, or interprets it differently than classic; `classic`: a problem on a default
            classic nucleus only.
        rule: a name in `RULES`.
    """

    kind: str
    text: str
    rule: str = ""


class Rule(NamedTuple):
    """The kind of the findings, and the function that yields their sentences."""

    kind: str
    check: Callable[[Case], Iterator[str]]


RULES: dict[str, Rule] = {
    "key case": Rule(REFUSED, lint_document.spelling),
    "unknown key": Rule(IGNORED, lint_document.unknown_keys),
    "component type": Rule(REFUSED, lint_document.component_type),
    "version": Rule(REFUSED, lint_document.version),
    "prerelease": Rule(IGNORED, lint_document.prerelease),
    "size": Rule(REFUSED, lint_document.size),
    "objects": Rule(REFUSED, lint_document.objects),
    "unit size": Rule(FAILS, lint_document.unit_size),
    "no description": Rule(IGNORED, lint_document.no_description),
    "description": Rule(FAILS, lint_document.description),
    "dependency": Rule(REFUSED, lint_document.dependency),
    "requirement": Rule(REFUSED, lint_document.requirement),
    "dependency type": Rule(IGNORED, lint_document.dependency_type),
    "resource": Rule(REFUSED, lint_document.resources),
    "resource variable": Rule(IGNORED, lint_document.resource_variables),
    "access variable": Rule(CLASSIC, lint_document.access_variables),
    "operation service": Rule(FAILS, lint_document.operation_services),
    "unknown operation": Rule(IGNORED, lint_document.unknown_operations),
    "platform": Rule(REFUSED, lint_manifest.platform),
    "platform key": Rule(IGNORED, lint_manifest.platform_keys),
    "global lifecycle": Rule(REFUSED, lint_manifest.global_lifecycle),
    "no manifest": Rule(REFUSED, lint_manifest.no_manifest),
    "no step": Rule(REFUSED, lint_manifest.no_step),
    "no artifacts": Rule(FAILS, lint_manifest.no_artifacts),
    "artifact": Rule(FAILS, lint_manifest.artifacts),
    "permission": Rule(IGNORED, lint_manifest.permissions),
    "archive name": Rule(FAILS, lint_manifest.archive_names),
    "step": Rule(REFUSED, lint_steps.step_shape),
    "privilege": Rule(REFUSED, lint_steps.privilege),
    "timeout": Rule(REFUSED, lint_steps.timeout),
    "run timeout": Rule(IGNORED, lint_steps.run_timeout),
    "skipif": Rule(REFUSED, lint_steps.skip_if),
    "ignored step": Rule(IGNORED, lint_steps.ignored_steps),
    "startup": Rule(FAILS, lint_steps.startup),
    "startup and run": Rule(IGNORED, lint_steps.startup_and_run),
    "environment name": Rule(FAILS, lint_steps.environment_names),
    "environment value": Rule(FAILS, lint_steps.environment_values),
    "environment type": Rule(FAILS, lint_steps.environment_types),
    "brace": Rule(FAILS, lint_steps.braces),
    "variable": Rule(REFUSED, lint_steps.variables),
}
"""Nucleus Lite itself rejects the `refused` findings, except `skipif` and `variable`: it accepts these and runs something else."""


def lint_file(
    path: Path,
    host: Host | None = None,
    kinds: tuple[str, ...] = (REFUSED, FAILS, CLASSIC),
    services: Mapping[str, str] | None = None,
) -> list[str]:
    """The findings about a recipe file, one sentence each; empty: it works on both nuclei.

    Args:
        host: the core device; default: this machine.
        kinds: the kinds of findings to return.
        services: see `findings`.
    """
    try:
        recipe = load_recipe(path, text_scalars=True)
    except RecipeError as error:
        return [str(error)]
    return [f"{path}: {finding.text}" for finding in findings(recipe, host or Host.detect(), services) if finding.kind in kinds]


def findings(recipe: Recipe, host: Host, services: Mapping[str, str] | None = None) -> list[Finding]:
    """All findings, in the order of the table.

    Args:
        services: the service by the full name of each IPC operation (`gglocal.ipc.operations.SERVICES`); None: not checked.
    """
    case = Case(recipe, host, services or {})
    return [Finding(rule.kind, text, name) for name, rule in RULES.items() for text in rule.check(case)]
