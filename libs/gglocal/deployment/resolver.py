"""From recipes and what is wanted of them to a plan: which versions, in which order."""

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
"""Dependencies that a device has and gglocal stands in for by doing nothing; what a component misses by that."""
PROVIDED_ON_CLASSIC: dict[str, str] = {
    "aws.greengrass.SecretManager": "",  # GetSecretValue takes files of the root
    "aws.greengrass.DiskSpooler": "what is for IoT Core is not kept while it is offline",
}
"""The same, of those that only the classic nucleus has."""

_ROOT = "the deployment"


@dataclass
class RecipeStore:
    """Recipes by name and version."""

    profile: Profile
    _recipes: dict[str, dict[Version, Recipe]] = field(default_factory=dict)

    def add_directory(self, directory: Path) -> None:
        """Read every recipe in a directory; one of a version that is known replaces it.

        Raises:
            DeploymentError: there is no such directory.
            RecipeError: a file in it is not a recipe, which fails a deployment on a device too: were it skipped, an older
                version would be deployed in its place. None of them is added.
        """
        if not directory.is_dir():
            raise DeploymentError(f"{directory}: there is no such recipe directory; give --recipe-dir")
        read, faults = [], []
        for path in sorted(directory.iterdir()):
            if path.suffix in SUFFIXES and path.is_file():
                try:
                    read.append(load_recipe(path, text_scalars=self.profile.text_scalars))
                except RecipeError as fault:
                    faults.append(str(fault))
        if faults:
            raise RecipeError(f"{'; '.join(faults)}; correct or remove what is not a recipe, nothing was deployed")
        for recipe in read:
            self._recipes.setdefault(recipe.name, {})[recipe.version] = recipe

    def provides(self, name: str) -> bool:
        """Whether gglocal stands in for this component of AWS."""
        return name in PROVIDED or self.profile is CLASSIC and name in PROVIDED_ON_CLASSIC

    def is_missed(self, name: str, dependency: Dependency) -> bool:
        """Whether a device has this component and gglocal does without it: it is of AWS, and soft or `PROVIDED`."""
        return self.provides(name) or name.startswith("aws.greengrass.") and dependency.kind == SOFT and name not in self._recipes

    def best(self, name: str, ranges: Mapping[str, Range]) -> Recipe:
        """The highest version that all ranges admit.

        Args:
            ranges: by who wants it.

        Raises:
            DeploymentError: there is none.
        """
        versions = self._recipes.get(name, {})
        fitting = [version for version in versions if all(version in wanted for wanted in ranges.values())]
        if fitting:
            return versions[max(fitting)]
        wants = ", ".join(f"{who} wants {wanted}" for who, wanted in ranges.items())
        if versions:
            raise DeploymentError(f"no version of {name} fits: {wants}; there is {', '.join(map(str, sorted(versions)))}")
        known = ", ".join(sorted(self._recipes)) or "none"
        raise DeploymentError(f"there is no recipe of {name} ({wants}); there are recipes of {known}")


@dataclass(frozen=True)
class Planned:
    """A component of the plan: its recipe, and what was selected of it for this machine."""

    recipe: Recipe
    selected: Selected


def resolve(roots: Mapping[str, str], store: RecipeStore, host: Host) -> list[Planned]:
    """The components that `roots` (version requirements by name) and their dependencies come to, dependencies first.

    Components of AWS that the store provides are none of them, whether as roots or as dependencies.

    Raises:
        DeploymentError: a component or version is missing, or components depend on each other in a circle.
        RecipeError: the profile's nucleus refuses a recipe.
    """
    wanted: dict[str, dict[str, Range]] = {}
    for name, text in roots.items():
        if store.provides(name):
            continue
        try:
            wanted[name] = {_ROOT: Range.parse(text)}
        except VersionError as fault:
            raise DeploymentError(f"{name}={text}: {fault}") from None
    chosen: dict[str, Recipe] = {}
    # A version chosen early may bring requirements that rule out another: choose again until nothing moves.
    for _ in range(100):
        again = {name: store.best(name, ranges) for name, ranges in wanted.items()}
        needs = {name: {_ROOT: ranges[_ROOT]} for name, ranges in wanted.items() if _ROOT in ranges}
        for recipe in again.values():
            for name, dependency in recipe.dependencies.items():
                if not store.is_missed(name, dependency):
                    needs.setdefault(name, {})[str(recipe)] = dependency.requirement
        if again == chosen and needs == wanted:
            break
        chosen, wanted = again, needs
    else:
        raise DeploymentError("the requirements of the components never settle on versions; name exact ones with --merge")
    return [_planned(recipe, store.profile, host) for recipe in _in_order(chosen)]


def _in_order(chosen: Mapping[str, Recipe]) -> Iterable[Recipe]:
    done: dict[str, Recipe] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in path:
            raise DeploymentError(f"components depend on each other in a circle: {' -> '.join([*path, name])}")
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
        said = findings(recipe, host)
        refused = [finding.text for finding in said if finding.kind == REFUSED]
        if refused:
            raise RecipeError(f"{recipe.path}: {'; '.join(refused)}")
        for finding in [each for each in said if each.kind != ON_CLASSIC]:
            log.warning("%s: %s%s", recipe.path, "on a device this fails: " if finding.kind == FAILS else "", finding.text)
    for name in recipe.dependencies:
        missed = (PROVIDED | PROVIDED_ON_CLASSIC).get(name, "it is left out" if name.startswith("aws.greengrass.") else "")
        if missed:
            log.warning("%s depends on %s, which gglocal does not have: %s", recipe, name, missed)
    selected = select(recipe, host, lite=lite)
    if selected is None:
        raise RecipeError(f"{recipe.path}: no manifest fits this machine ({host}); add one to Manifests")
    return Planned(recipe, selected)


def configuration_updates(raw: Any, where: str) -> dict[str, dict[str, Any]]:
    """Check `{component: {"merge": map or JSON text, "reset": [pointer]}}`; upper-case MERGE and RESET are good too.

    Raises:
        DeploymentError: it has another shape.
    """
    if not isinstance(raw, dict):
        raise DeploymentError(f'{where}: configuration updates are a map, as {{"com.example.A": {{"merge": {{"key": 1}}}}}}')
    checked = {}
    for name, update in raw.items():
        if not isinstance(update, dict):
            raise DeploymentError(f"{where}: the update of {name} must be a map with merge or reset")
        update = {str(key).lower(): value for key, value in update.items()}
        wrong = set(update) - {"merge", "reset"}
        merge, reset = update.get("merge", {}), update.get("reset", [])
        if isinstance(merge, str):
            try:
                merge = json.loads(merge)
            except (ValueError, RecursionError) as fault:
                raise DeploymentError(f"{where}: {name}/merge is no JSON ({fault})") from None
        if wrong or not isinstance(merge, dict) or not isinstance(reset, list):
            raise DeploymentError(f"{where}: the update of {name} takes merge (a map) and reset (a list of JSON pointers) alone")
        checked[str(name)] = {"merge": merge, "reset": [str(pointer) for pointer in reset]}
    return checked
