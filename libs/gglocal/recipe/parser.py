"""Parses recipe files, JSON or YAML, into dataclasses; see the component recipe reference of AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gglocal.errors import RecipeError, VersionError
from gglocal.recipe.key_case import normalize_case, unknown_keys
from gglocal.recipe.semver import Range, Version
from gglocal.valid_names import MAX_VERSION, component_name_error, file_name_error

SUFFIXES = (".json", ".yaml", ".yml")
MAX_DEPTH, MAX_VALUES = 100, 100_000
MAX_YAML_LENGTH = 65_536
"""Characters; AWS allows 16 kB."""
HARD, SOFT = "HARD", "SOFT"


@dataclass(frozen=True)
class Dependency:
    """`kind` is `HARD`: the dependent waits for it and restarts with it; or `SOFT`."""

    requirement: Range
    kind: str


@dataclass(frozen=True)
class Artifact:
    """One file of a component; `unarchive` is `NONE` or `ZIP`, `read` and `execute` are `NONE`, `OWNER` or `ALL`."""

    uri: str
    unarchive: str = "NONE"
    read: str = "OWNER"
    execute: str = "NONE"

    @property
    def file_name(self) -> str:
        """The last segment of the URI."""
        return self.uri.split("?")[0].rstrip("/").rsplit("/", 1)[-1]

    @property
    def is_image(self) -> bool:
        """Whether it is a container image, which is not a file."""
        return self.uri.lower().startswith("docker:")

    @property
    def stem(self) -> str:
        """Name of the folder to which it is unpacked: the file name without its last extension."""
        head, dot, _ = self.file_name.rpartition(".")
        return head if dot else self.file_name


@dataclass(frozen=True)
class Manifest:
    """The component on one platform.

    Attributes:
        platform: requirements by attribute (`os`, `architecture`, `runtime`, …); None: the key is missing.
        selections: keys of the global `Lifecycle`; None: the key is missing.
        lifecycle: as written.
    """

    platform: dict[str, str] | None
    selections: tuple[str, ...] | None
    lifecycle: dict[str, Any]
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True)
class Recipe:
    """One version of one component.

    Attributes:
        lifecycle: the global `Lifecycle`, as written.
        misspelled: keys with the wrong case: the location of each, and its documented name.
        document: the whole recipe, with keys as documented.
    """

    name: str
    version: Version
    path: Path
    component_type: str
    dependencies: dict[str, Dependency]
    default_configuration: dict[str, Any]
    manifests: tuple[Manifest, ...]
    lifecycle: Any
    misspelled: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    document: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class _PlainLoader(yaml.SafeLoader):
    """YAML without dates: a version such as 2020-01-25 remains text."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_document(path: Path, *, text_scalars: bool = False) -> Any:
    """The JSON or YAML document in a file.

    Args:
        text_scalars: read every scalar of a YAML file as a string, as Nucleus Lite does.

    Raises:
        RecipeError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from None
    if path.suffix != ".json" and len(text) > MAX_YAML_LENGTH:
        raise RecipeError(
            f"{path}: the file has {len(text)} characters, the limit is {MAX_YAML_LENGTH}; no device accepts so large a recipe"
        )
    try:
        if path.suffix == ".json":
            document = json.loads(text)
        else:
            document = yaml.load(text, Loader=yaml.BaseLoader if text_scalars else _PlainLoader)  # noqa: S506
    except RecursionError:
        raise RecipeError(f"{path}: the document is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RecipeError(f"{path}: invalid JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError(f"{path}: invalid YAML{where}: {getattr(error, 'problem', None) or error}") from None
    except ValueError as error:  # an invalid scalar, such as an impossible date or a number of thousands of digits
        raise RecipeError(f"{path}: invalid value ({error}); put it in quotes") from None
    _check_size(document, path)
    return document


def _check_size(document: Any, path: Path) -> None:
    """Raise RecipeError for a document that is too deep or too large: YAML aliases can multiply and contain themselves."""
    waiting, seen = [(document, 1)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_VALUES:
            raise RecipeError(f"{path}: the document has more than {MAX_VALUES} values, or is nested more than {MAX_DEPTH} levels deep")
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(each, depth + 1) for each in inside]


def load_recipe(path: Path, *, text_scalars: bool = False) -> Recipe:
    """Read one recipe file.

    Raises:
        RecipeError: the file is not a valid recipe; the text names every invalid key with the remedy.
    """
    document = read_document(path, text_scalars=text_scalars)
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: a recipe must be a map of keys, found a {type(document).__name__}")
    return _Reader(path).recipe(document)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._errors: list[str] = []

    def recipe(self, raw: dict[str, Any]) -> Recipe:
        document, misspelled = normalize_case(raw)
        name = self._text(document, "ComponentName", "")
        if isinstance(document.get("ComponentName"), str):
            self._report("ComponentName", component_name_error(name))
        recipe = Recipe(
            name=name,
            version=self._version(document),
            path=self._path,
            component_type=self._text(document, "ComponentType", "", "aws.greengrass.generic"),
            dependencies=self._dependencies(self._map(document, "ComponentDependencies", "")),
            default_configuration=self._map(
                self._map(document, "ComponentConfiguration", ""), "DefaultConfiguration", "ComponentConfiguration/"
            ),
            manifests=tuple(self._manifests(document)),
            lifecycle=document.get("Lifecycle") or {},
            misspelled=tuple(misspelled),
            unknown=tuple(unknown_keys(document)),
            document=document,
        )
        if self._errors:
            raise RecipeError(f"{self._path}: {'; '.join(self._errors)}")
        return recipe

    def _version(self, document: dict[str, Any]) -> Version:
        text = self._text(document, "ComponentVersion", "", "") or "0.0.0"
        if len(text) > MAX_VERSION:
            self._errors.append(f"ComponentVersion has {len(text)} characters; at most {MAX_VERSION} are allowed")
        try:
            return Version.parse(text)
        except VersionError as error:
            self._errors.append(f"ComponentVersion: {error}")
            return Version((0, 0, 0))

    def _dependencies(self, raw: dict[str, Any]) -> dict[str, Dependency]:
        found = {}
        for name, item in raw.items():
            where = f"ComponentDependencies/{name}/"
            self._report("ComponentDependencies", component_name_error(str(name)))
            if not isinstance(item, dict):
                self._errors.append(f"{where[:-1]} must be a map with VersionRequirement")
                continue
            kind = self._text(item, "DependencyType", where, HARD).upper()
            if kind not in (HARD, SOFT):
                self._errors.append(f"{where}DependencyType is {kind!r}; write HARD or SOFT")
            try:
                requirement = Range.parse(self._text(item, "VersionRequirement", where, "*"))
            except VersionError as error:
                self._errors.append(f"{where}VersionRequirement: {error}")
                continue
            found[name] = Dependency(requirement, kind)
        return found

    def _manifests(self, document: dict[str, Any]) -> list[Manifest]:
        found = []
        for at, item in enumerate(self._list(document, "Manifests", "")):
            where = f"Manifests/{at}/"
            if not isinstance(item, dict):
                self._errors.append(f"{where[:-1]} must be a map")
                continue
            platform = {str(key): str(value) for key, value in self._map(item, "Platform", where).items() if value is not None}
            selections = self._list(item, "Selections", where)
            found.append(
                Manifest(
                    platform=None if item.get("Platform") is None else platform,
                    selections=tuple(map(str, selections)) if selections else None,
                    lifecycle=self._map(item, "Lifecycle", where),
                    artifacts=tuple(self._artifacts(item, where)),
                )
            )
        return found

    def _artifacts(self, manifest: dict[str, Any], above: str) -> list[Artifact]:
        found = []
        for at, item in enumerate(self._list(manifest, "Artifacts", above)):
            where = f"{above}Artifacts/{at}/"
            if not isinstance(item, dict):
                self._errors.append(f"{where[:-1]} must be a map with Uri")
                continue
            permission = self._map(item, "Permission", where)
            artifact = Artifact(
                uri=self._text(item, "Uri", where),
                unarchive=self._text(item, "Unarchive", where, "NONE").upper(),
                read=self._text(permission, "Read", where + "Permission/", "OWNER").upper(),
                execute=self._text(permission, "Execute", where + "Permission/", "NONE").upper(),
            )
            if artifact.uri and not artifact.is_image:
                folder_error = file_name_error(artifact.stem) if artifact.unarchive == "ZIP" else ""
                self._report(f"{where}Uri", file_name_error(artifact.file_name) or folder_error)
            if artifact.unarchive not in ("NONE", "ZIP"):
                self._errors.append(f"{where}Unarchive is {artifact.unarchive!r}; write NONE or ZIP")
            for key, value in (("Read", artifact.read), ("Execute", artifact.execute)):
                if value not in ("NONE", "OWNER", "ALL"):
                    self._errors.append(f"{where}Permission/{key} is {value!r}; write NONE, OWNER or ALL")
            found.append(artifact)
        return found

    def _report(self, where: str, error: str) -> None:
        if error:
            self._errors.append(f"{where}: {error}")

    def _text(self, raw: dict[str, Any], key: str, where: str, default: str | None = None) -> str:
        value = raw.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            self._errors.append(f"{where}{key} is missing")
            return ""
        if not isinstance(value, str):
            self._errors.append(f"{where}{key} is {value!r}; write it as a string, in quotes")
            return ""
        return value

    def _map(self, raw: dict[str, Any], key: str, where: str) -> dict[str, Any]:
        # With text scalars, an empty YAML value is "".
        value = raw.get(key)
        if value is None or value == "":
            return {}
        if not isinstance(value, dict):
            self._errors.append(f"{where}{key} must be a map, found {value!r}")
            return {}
        return value

    def _list(self, raw: dict[str, Any], key: str, where: str) -> list[Any]:
        value = raw.get(key)
        if value is None or value == "":
            return []
        if not isinstance(value, list):
            self._errors.append(f"{where}{key} must be a list, found {value!r}")
            return []
        return value
