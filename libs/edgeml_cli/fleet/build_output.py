"""What there is to publish: the recipes and artifacts of a build, in the order of dependency, each with its fingerprint."""

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

from edgeml_cli.fleet.errors import FleetError

SEMANTIC = r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"


@dataclass(frozen=True)
class Item:
    """One component version.

    Attributes:
        recipe: the document as it is published: its artifacts' URIs name the bucket.
        files: artifacts by file name.
        digests: SHA-256 of each, in hexadecimal.
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
        """The recipe, for CreateComponentVersion."""
        return json.dumps(self.recipe, indent=2)

    @property
    def fingerprint(self) -> str:
        """The same for the same recipe and the same bytes, whatever the recipe's file looks like."""
        whole = json.dumps([self.recipe, dict(self.digests)], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(whole.encode()).hexdigest()

    def key(self, file: str) -> str:
        """Where an artifact stands in the bucket, as gdk has it."""
        return f"{self.name}/{self.version}/{file}"


def read(build: Path, bucket: str, author: str | None = None) -> list[Item]:
    """Every component version of a build directory, dependencies first.

    Args:
        build: holds `recipes/` and `artifacts/<name>/<version>/`, as scripts/build makes them.
        author: publisher of the components, instead of the one in the recipes.

    Raises:
        FleetError: a recipe cannot be read or names an artifact that is not there, or there is none.
    """
    items: dict[tuple[str, str], Item] = {}
    for path in sorted((build / "recipes").glob("*")):
        if path.suffix in (".yaml", ".yml", ".json"):
            item = _item(path, build / "artifacts", bucket, author)
            items.setdefault((item.name, item.version), item)
    if not items:
        raise FleetError(f"{build / 'recipes'} holds no recipe; make it with edgeml build")
    return list(ordered(items.values()))


def ordered(items: Iterable[Item]) -> Iterator[Item]:
    """Dependencies before what depends on them; otherwise by name and version.

    Raises:
        FleetError: they depend on each other in a circle.
    """
    left = sorted(items, key=lambda item: (item.name, item.version))
    while left:
        names = {item.name for item in left}
        ready = [item for item in left if not _needs(item) & (names - {item.name})]
        if not ready:
            raise FleetError(f"{', '.join(sorted(names))} depend on each other in a circle; mend ComponentDependencies in recipes/")
        yield from ready
        left = [item for item in left if item not in ready]


def essence(recipe: Mapping[str, Any]) -> Any:
    """What of a recipe the service hands back unchanged: it adds digests and defaults of its own to the rest."""
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
    """SHA-256 in hexadecimal by file name, of the artifacts whose digest the service wrote into a published recipe."""
    return {
        str(artifact.get("Uri", artifact.get("URI"))).rsplit("/", 1)[-1]: base64.b64decode(artifact["Digest"]).hex()
        for manifest in recipe.get("Manifests") or ()
        for artifact in manifest.get("Artifacts") or ()
        if artifact.get("Algorithm") == "SHA-256" and artifact.get("Digest")
    }


def _needs(item: Item) -> set[str]:
    return set(item.recipe.get("ComponentDependencies") or {})


def _item(path: Path, artifacts: Path, bucket: str, author: str | None) -> Item:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        name, version = str(document["ComponentName"]), str(document["ComponentVersion"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as fault:
        raise FleetError(f"{path}: ComponentName and ComponentVersion cannot be read from it: {fault!r}; build it anew") from None
    if not re.fullmatch(SEMANTIC, version):
        raise FleetError(f"{path}: the version {version!r} is not semantic; write major.minor.patch, as 1.2.3")
    place = artifacts / name / version
    files = {file.name: file for file in sorted(place.iterdir()) if file.is_file()} if place.is_dir() else {}
    recipe = copy.deepcopy(document)
    if author is not None:
        recipe["ComponentPublisher"] = author
    for manifest in recipe.get("Manifests") or ():
        for artifact in manifest.get("Artifacts") or ():
            file = str(artifact["Uri"]).rsplit("/", 1)[-1]
            if not str(artifact["Uri"]).startswith("s3://"):
                continue
            if file not in files:
                raise FleetError(f"{path} names the artifact {file}, which is not in {place}; build it anew")
            artifact["Uri"] = f"s3://{bucket}/{name}/{version}/{file}"
    digests = {file: hashlib.sha256(content.read_bytes()).hexdigest() for file, content in files.items()}
    return Item(name, version, recipe, files, digests)
