"""Resolves a deployment's components and their dependencies to versions, in start order."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gglocal.errors import DeploymentError, RecipeError, VersionError
from gglocal.profile import CLASSIC, Profile
from gglocal.recipe.lint import CLASSIC as ON_CLASSIC
from gglocal.recipe.lint import FAILS, REFUSED, findings
from gglocal.recipe.manifest_selection import Host, Selected, select
from gglocal.recipe.parser import SOFT, SUFFIXES, Dependency, Recipe, load_recipe
from gglocal.recipe.semver import Range, Version

log = logging.getLogger("gglocal")

PROVIDED: dict[str, str] = {
    "aws.greengrass.Nucleus": "",
    "aws.greengrass.NucleusLite": "",
    "aws.greengrass.Cli": "",
    "aws.greengrass.TokenExchangeService": "components get no AWS credentials",
    "aws.greengrass.LogManager": "logs stay on this machine",
}
"""AWS components that gglocal replaces with nothing, and the effect on a component that depends on them."""
PROVIDED_ON_CLASSIC: dict[str, str] = {
    "aws.greengrass.SecretManager": "",  # GetSecretValue reads files of the root folder
    "aws.greengrass.DiskSpooler": "messages for IoT Core are not queued while it is offline",
}
"""The same for components that only the classic nucleus has."""

_ROOT = "the deployment"


@dataclass
class RecipeStore:
    """Recipes by name and version."""

    profile: Profile
    _recipes: dict[str, dict[Version, Recipe]] = field(default_factory=dict)

    def add_directory(self, directory: Path) -> None:
        """Read every recipe in a directory; it replaces a known recipe of the same version.

        Raises:
            DeploymentError: the directory does not exist.
            RecipeError: a file in it is not a valid recipe, which fails a deployment on a device too. No recipe is added;
                otherwise an older version could be deployed instead.
        """
        if not directory.is_dir():
            raise DeploymentError(f"{directory}: recipe directory not found; pass another one with --recipe-dir")
        read, errors = [], []
        for path in sorted(directory.iterdir()):
            if path.suffix in SUFFIXES and path.is_file():
                try:
                    read.append(load_recipe(path, text_scalars=self.profile.text_scalars))
                except RecipeError as error:
                    errors.append(str(error))
        if errors:
            raise RecipeError(f"{'; '.join(errors)}; correct or remove these files. Nothing was deployed")
        for recipe in read:
            self._recipes.setdefault(recipe.name, {})[recipe.version] = recipe

    def provides(self, name: str) -> bool:
        """Whether gglocal replaces this AWS component with nothing."""
        return name in PROVIDED or self.profile is CLASSIC and name in PROVIDED_ON_CLASSIC

    def is_absent(self, name: str, dependency: Dependency) -> bool:
        """Whether this is an AWS component that gglocal does not run: a provided one, or a soft dependency without a recipe."""
        return self.provides(name) or name.startswith("aws.greengrass.") and dependency.kind == SOFT and name not in self._recipes

    def best(self, name: str, ranges: Mapping[str, Range]) -> Recipe:
        """The highest version that satisfies all ranges.

        Args:
            ranges: version requirements by the requiring component.

        Raises:
            DeploymentError: no version satisfies them.
        """
        versions = self._recipes.get(name, {})
        fitting = [version for version in versions if all(version in each for each in ranges.values())]
        if fitting:
            return versions[max(fitting)]
        requirements = ", ".join(f"{requirer} requires {each}" for requirer, each in ranges.items())
        if versions:
            raise DeploymentError(
                f"no version of {name} satisfies all requirements: {requirements}; available: {', '.join(map(str, sorted(versions)))}"
            )
        known = ", ".join(sorted(self._recipes)) or "none"
        raise DeploymentError(f"no recipe of {name} found ({requirements}); recipes found: {known}")


@dataclass(frozen=True)
class Planned:
    """A component of the deployment: its recipe, and the manifest and lifecycle selected for this machine."""

    recipe: Recipe
    selected: Selected


def resolve(roots: Mapping[str, str], store: RecipeStore, host: Host) -> list[Planned]:
    """Resolve `roots` (version requirements by name) and their dependencies; returns dependencies first.

    AWS components that gglocal replaces with nothing are left out.

    Raises:
        DeploymentError: a component or version is missing, or dependencies form a cycle.
        RecipeError: the profile's nucleus rejects a recipe.
    """
    requirements: dict[str, dict[str, Range]] = {}
    for name, text in roots.items():
        if store.provides(name):
            continue
        try:
            requirements[name] = {_ROOT: Range.parse(text)}
        except VersionError as error:
            raise DeploymentError(f"{name}={text}: {error}") from None
    chosen: dict[str, Recipe] = {}
    # The requirements of a chosen version may rule out another one: repeat until nothing changes.
    for _ in range(100):
        again = {name: store.best(name, ranges) for name, ranges in requirements.items()}
        needs = {name: {_ROOT: ranges[_ROOT]} for name, ranges in requirements.items() if _ROOT in ranges}
        for recipe in again.values():
            for name, dependency in recipe.dependencies.items():
                if not store.is_absent(name, dependency):
                    needs.setdefault(name, {})[str(recipe)] = dependency.requirement
        if again == chosen and needs == requirements:
            break
        chosen, requirements = again, needs
    else:
        raise DeploymentError("the version requirements cannot be resolved; name exact versions with --merge")
    return [_planned(recipe, store.profile, host) for recipe in _in_order(chosen)]


def _in_order(chosen: Mapping[str, Recipe]) -> Iterable[Recipe]:
    done: dict[str, Recipe] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in path:
            raise DeploymentError(f"dependency cycle: {' -> '.join([*path, name])}")
        if name in done or name not in chosen:
            return
        path.append(name)
        for other in sorted(chosen[name].dependencies):
            visit(other)
        path.pop()
        done[name] = chosen[name]

    for name in sorted(chosen):
        visit(name)
    return done.values()


def _planned(recipe: Recipe, profile: Profile, host: Host) -> Planned:
    lite = profile.strict_recipes
    if lite:
        found = findings(recipe, host)
        rejected = [finding.text for finding in found if finding.kind == REFUSED]
        if rejected:
            raise RecipeError(f"{recipe.path}: {'; '.join(rejected)}")
        for finding in [each for each in found if each.kind != ON_CLASSIC]:
            log.warning("%s: %s%s", recipe.path, "this fails on a device: " if finding.kind == FAILS else "", finding.text)
    for name in recipe.dependencies:
        effect = (PROVIDED | PROVIDED_ON_CLASSIC).get(name, "it is left out" if name.startswith("aws.greengrass.") else "")
        if effect:
            log.warning("%s depends on %s, which gglocal does not run: %s", recipe, name, effect)
    selected = select(recipe, host, lite=lite)
    if selected is None:
        raise RecipeError(f"{recipe.path}: no manifest matches this machine ({host}); add one to Manifests")
    return Planned(recipe, selected)


def configuration_updates(raw: Any, where: str) -> dict[str, dict[str, Any]]:
    """Check `{component: {"merge": map or JSON text, "reset": [pointer]}}`; upper-case MERGE and RESET are accepted too.

    Raises:
        DeploymentError: the updates have another shape.
    """
    if not isinstance(raw, dict):
        raise DeploymentError(f'{where}: configuration updates must be a map, as {{"com.example.A": {{"merge": {{"key": 1}}}}}}')
    checked = {}
    for name, update in raw.items():
        if not isinstance(update, dict):
            raise DeploymentError(f"{where}: the update of {name} must be a map with merge or reset")
        update = {str(key).lower(): value for key, value in update.items()}
        unknown = set(update) - {"merge", "reset"}
        merge, reset = update.get("merge", {}), update.get("reset", [])
        if isinstance(merge, str):
            try:
                merge = json.loads(merge)
            except (ValueError, RecursionError) as error:
                raise DeploymentError(f"{where}: {name}/merge is not valid JSON ({error})") from None
        if unknown or not isinstance(merge, dict) or not isinstance(reset, list):
            raise DeploymentError(f"{where}: the update of {name} accepts only merge (a map) and reset (a list of JSON pointers)")
        checked[str(name)] = {"merge": merge, "reset": [str(pointer) for pointer in reset]}
    return checked
