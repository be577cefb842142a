"""The input of a lint rule: a recipe on a host, and the parts that Nucleus Lite selects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gglocal.errors import RecipeError
from gglocal.recipe.key_case import LITE_STEPS
from gglocal.recipe.lifecycle_steps import Lifecycle, Step, parse_lifecycle
from gglocal.recipe.manifest_selection import Host, Selected, select
from gglocal.recipe.parser import Recipe

_BUILT_IN = ("aws.greengrass.Nucleus", "aws.greengrass.NucleusLite", "aws.greengrass.TokenExchangeService", "aws.greengrass.Cli")


@dataclass(frozen=True)
class Case:
    """A recipe on a host.

    Attributes:
        services: the service of `accessControl` by the full name of each known IPC operation; empty: not checked.
    """

    recipe: Recipe
    host: Host
    services: Mapping[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        return self.recipe.document

    @cached_property
    def selected(self) -> Selected | None:
        return select(self.recipe, self.host, lite=True)

    @cached_property
    def at(self) -> int:
        """Index of the selected manifest; the number of manifests if none is selected."""
        manifests = self.recipe.manifests
        return next((at for at, each in enumerate(manifests) if self.selected and each is self.selected.manifest), len(manifests))

    @property
    def manifest(self) -> dict[str, Any]:
        """The selected manifest as written, or an empty map."""
        return {} if self.selected is None else dict(self.document["Manifests"][self.at])

    @cached_property
    def lifecycle(self) -> Lifecycle | str:
        """The selected lifecycle, or why it is invalid."""
        try:
            return parse_lifecycle({} if self.selected is None else self.selected.lifecycle, str(self.recipe.path))
        except RecipeError as error:
            return str(error).removeprefix(f"{self.recipe.path}: ")

    @property
    def steps(self) -> list[Step]:
        """The steps that Nucleus Lite runs."""
        steps = [] if isinstance(self.lifecycle, str) else list(self.lifecycle.steps.values())
        return [step for step in steps if step.name in LITE_STEPS]

    @property
    def raw_steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The steps that are maps, as written."""
        for name in LITE_STEPS:
            value = self.selected.lifecycle.get(name) if self.selected else None
            if isinstance(value, dict):
                yield name, value

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """(location, text) of every text in which recipe variables are replaced."""
        for step in self.steps:
            yield f"{step.name}/Script", step.script
        yield from self.environment

    @property
    def environment(self) -> Iterator[tuple[str, str]]:
        """(location, value) of every environment variable."""
        if not isinstance(self.lifecycle, str):
            for name, value in self.lifecycle.setenv:
                yield f"Setenv/{name}", value
        for step in self.steps:
            for name, value in step.setenv:
                yield f"{step.name}/Setenv/{name}", value

    @property
    def dependencies(self) -> Iterator[tuple[str, Any]]:
        """The dependencies that are resolved, as written."""
        for name, value in (self.document.get("ComponentDependencies") or {}).items():
            if name not in _BUILT_IN:
                yield name, value
