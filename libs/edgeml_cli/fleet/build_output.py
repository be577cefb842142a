"""Reads the recipes and artifacts of a build, in dependency order, each with its fingerprint."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgeml_cli.build.package import VERSION
from edgeml_cli.fleet.errors import FleetError


@dataclass(frozen=True)
class BuiltComponent:
    """A built component version.

    Attributes:
        recipe: the recipe to publish, with the bucket in the artifacts' URIs.
        files: artifacts by file name.
        digests: SHA-256 of each artifact, in hexadecimal.
    """

    name: str
    version: str
    recipe: Mapping[str, Any]
    files: Mapping[str, Path]
    digests: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def text(self) -> str:
        """The recipe as text, for CreateComponentVersion."""
        return json.dumps(self.recipe, indent=2)

    @property
    def fingerprint(self) -> str:
        """A digest of the recipe's content and the artifacts; independent of the recipe's format."""
        whole = json.dumps([self.recipe, dict(self.digests)], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(whole.encode()).hexdigest()

    def key(self, file: str) -> str:
        """The key of an artifact in the bucket, as in gdk."""
        return f"{self.name}/{self.version}/{file}"


def read(build: Path, bucket: str, author: str | None = None) -> list[BuiltComponent]:
    """Read every component version of a build directory, dependencies first.

    Args:
        build: directory with `recipes/` and `artifacts/<name>/<version>/`, as written by `edgeml build`.
        author: publisher of the components; None keeps the one in the recipes.

    Raises:
        FleetError: there is no recipe, a recipe cannot be read, or an artifact is missing.
    """
    items: dict[tuple[str, str], BuiltComponent] = {}
    for path in sorted((build / "recipes").glob("*")):
        if path.suffix in (".yaml", ".yml", ".json"):
            item = _item(path, build / "artifacts", bucket, author)
            items.setdefault((item.name, item.version), item)
    if not items:
        raise FleetError(f"{build / 'recipes'} contains no recipes; create them with edgeml build")
    return list(in_dependency_order(items.values()))


def in_dependency_order(items: Iterable[BuiltComponent]) -> Iterator[BuiltComponent]:
    """Yield dependencies before their dependents; otherwise in order of name and version.

    Raises:
        FleetError: the dependencies are circular.
    """
    remaining = sorted(items, key=lambda item: (item.name, item.version))
    while remaining:
        names = {item.name for item in remaining}
        ready = [item for item in remaining if not _dependencies(item) & (names - {item.name})]
        if not ready:
            raise FleetError(f"circular dependency between {', '.join(sorted(names))}; correct ComponentDependencies in recipes/")
        yield from ready
        remaining = [item for item in remaining if item not in ready]


def comparable_recipe(recipe: Mapping[str, Any]) -> Any:
    """The parts of a recipe that the service returns unchanged; it adds digests and defaults to the other parts."""
    manifests = [
        {
            "Platform": manifest.get("Platform"),
            "Lifecycle": manifest.get("Lifecycle") or {},
            "Artifacts": [artifact.get("Uri", artifact.get("URI")) for artifact in manifest.get("Artifacts") or ()],
        }
        for manifest in recipe.get("Manifests") or ()
    ]
    kept = {key: recipe.get(key) or {} for key in ("ComponentConfiguration", "ComponentDependencies")}
    return json.loads(json.dumps({**kept, "Manifests": manifests}, sort_keys=True))


def artifact_digests(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The digests that the service wrote into a published recipe: SHA-256 in hexadecimal, by file name."""
    return {
        str(artifact.get("Uri", artifact.get("URI"))).rsplit("/", 1)[-1]: base64.b64decode(artifact["Digest"]).hex()
        for manifest in recipe.get("Manifests") or ()
        for artifact in manifest.get("Artifacts") or ()
        if artifact.get("Algorithm") == "SHA-256" and artifact.get("Digest")
    }


def _dependencies(item: BuiltComponent) -> set[str]:
    return set(item.recipe.get("ComponentDependencies") or {})


def _item(path: Path, artifacts: Path, bucket: str, author: str | None) -> BuiltComponent:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        name, version = str(document["ComponentName"]), str(document["ComponentVersion"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as fault:
        raise FleetError(f"{path}: ComponentName and ComponentVersion cannot be read: {fault!r}; build again") from None
    if not re.fullmatch(VERSION, version):
        raise FleetError(f"{path}: {version!r} is not a semantic version; expected major.minor.patch, such as 1.2.3")
    folder = artifacts / name / version
    files = {file.name: file for file in sorted(folder.iterdir()) if file.is_file()} if folder.is_dir() else {}
    recipe = copy.deepcopy(document)
    if author is not None:
        recipe["ComponentPublisher"] = author
    for manifest in recipe.get("Manifests") or ():
        for artifact in manifest.get("Artifacts") or ():
            file = str(artifact["Uri"]).rsplit("/", 1)[-1]
            if not str(artifact["Uri"]).startswith("s3://"):
                continue
            if file not in files:
                raise FleetError(f"{path}: the artifact {file} is not in {folder}; build again")
            artifact["Uri"] = f"s3://{bucket}/{name}/{version}/{file}"
    digests = {file: hashlib.sha256(content.read_bytes()).hexdigest() for file, content in files.items()}
    return BuiltComponent(name, version, recipe, files, digests)
