"""What Nucleus Lite would say to a recipe before it is on a device, and a stock classic nucleus: one table of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gglocal.errors import RecipeError
from gglocal.recipe import lint_rules as rules
from gglocal.recipe.lint_rules import Case
from gglocal.recipe.manifest_selection import Host
from gglocal.recipe.parser import Recipe, load_recipe

REFUSED, FAILS, IGNORED, CLASSIC = "refused", "fails", "ignored", "classic"


@dataclass(frozen=True)
class Finding:
    """One sentence about a recipe.

    Attributes:
        kind: `refused`: Lite does not take the recipe; `fails`: it takes it, and a step, or its deployment from the cloud, goes wrong;
            `ignored`: it leaves something out, or understands it otherwise than classic does; `classic`: Lite is content, and a stock
            classic nucleus is not.
        rule: a name in `RULES`.
    """

    kind: str
    text: str
    rule: str = ""


class Rule(NamedTuple):
    """Attributes: kind: of what it finds."""

    kind: str
    check: Callable[[Case], Iterator[str]]


RULES: dict[str, Rule] = {
    "spelling": Rule(REFUSED, rules.spelling),
    "unknown key": Rule(IGNORED, rules.unknown_keys),
    "component type": Rule(REFUSED, rules.component_type),
    "version": Rule(REFUSED, rules.version),
    "prerelease": Rule(IGNORED, rules.prerelease),
    "size": Rule(REFUSED, rules.size),
    "objects": Rule(REFUSED, rules.objects),
    "unit size": Rule(FAILS, rules.unit_size),
    "no description": Rule(IGNORED, rules.no_description),
    "description": Rule(FAILS, rules.description),
    "dependency": Rule(REFUSED, rules.dependency),
    "requirement": Rule(REFUSED, rules.requirement),
    "dependency type": Rule(IGNORED, rules.dependency_type),
    "resource": Rule(REFUSED, rules.resources),
    "resource variable": Rule(IGNORED, rules.resource_variables),
    "access variable": Rule(CLASSIC, rules.access_variables),
    "platform": Rule(REFUSED, rules.platform),
    "platform key": Rule(IGNORED, rules.platform_keys),
    "global lifecycle": Rule(REFUSED, rules.global_lifecycle),
    "no manifest": Rule(REFUSED, rules.no_manifest),
    "no step": Rule(REFUSED, rules.no_step),
    "no artifacts": Rule(FAILS, rules.no_artifacts),
    "artifact": Rule(FAILS, rules.artifacts),
    "permission": Rule(IGNORED, rules.permissions),
    "archive name": Rule(FAILS, rules.archive_names),
    "step": Rule(REFUSED, rules.step_shape),
    "privilege": Rule(REFUSED, rules.privilege),
    "timeout": Rule(REFUSED, rules.timeout),
    "run timeout": Rule(IGNORED, rules.run_timeout),
    "skipif": Rule(REFUSED, rules.skip_if),
    "ignored step": Rule(IGNORED, rules.ignored_steps),
    "startup": Rule(FAILS, rules.startup),
    "startup and run": Rule(IGNORED, rules.startup_and_run),
    "environment name": Rule(FAILS, rules.environment_names),
    "environment value": Rule(FAILS, rules.environment_values),
    "environment type": Rule(FAILS, rules.environment_types),
    "brace": Rule(FAILS, rules.braces),
    "variable": Rule(REFUSED, rules.variables),
}
"""Without `skipif` and `variable`, what is `refused` is what the nucleus refuses; these two it takes, and runs something else."""


def lint_file(path: Path, host: Host | None = None, kinds: tuple[str, ...] = (REFUSED, FAILS, CLASSIC)) -> list[str]:
    """What Lite refuses, or fails on, in the recipe file, and what works on Lite alone: a sentence each; empty: it is fit for both.

    Args:
        host: the core device; by default like this machine.
        kinds: which findings are wanted.
    """
    try:
        recipe = load_recipe(path, text_scalars=True)
    except RecipeError as fault:
        return [str(fault)]
    return [f"{path}: {finding.text}" for finding in findings(recipe, host or Host.detect()) if finding.kind in kinds]


def findings(recipe: Recipe, host: Host) -> list[Finding]:
    """All that Lite has to say, in the order of the table."""
    case = Case(recipe, host)
    return [Finding(rule.kind, text, name) for name, rule in RULES.items() for text in rule.check(case)]
