"""What each rule of `lint` looks at: a case in, sentences out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gglocal.core.access_policy import has_variables
from gglocal.errors import RecipeError
from gglocal.recipe.key_case import STEPS
from gglocal.recipe.lifecycle_steps import Lifecycle, Step, parse_lifecycle
from gglocal.recipe.manifest_selection import LITE_RUNTIMES, Host, Selected, has_step, select
from gglocal.recipe.parser import Recipe
from gglocal.recipe.variables import BRACED, SYSTEM, recipe_variable

MAX_RECIPE_BYTES = 8196
MAX_VARIABLE_BYTES = 256
MAX_UNIT_BYTES, UNIT_BYTES = 2048, 560
"""Of a systemd unit; and what it has apart from descriptions, names and dependencies, with a root such as /var/lib/greengrass."""
MAX_OBJECTS, MAX_LEVELS = 255, 14
"""Of a recipe, its default configuration included: an item of a list is an object, a key of a map and its value are two."""
BUILT_IN = ("aws.greengrass.Nucleus", "aws.greengrass.NucleusLite", "aws.greengrass.TokenExchangeService", "aws.greengrass.Cli")
SCHEMES = ("s3", "greengrass", "docker")

_NUMBER = r"(?:0|[1-9]\d*)"
_PRE = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{2}}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?")
_COMPARISON = rf"(?:>=|<=|>|<|=)?{_SEMVER.pattern}"
_RANGE = re.compile(rf"{_COMPARISON}(?: {_COMPARISON})*")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[\w./:@%+=,-]*", re.ASCII)
_WHOLE = re.compile(r"\s*\d+")
_ESCAPE = re.compile(r"\$\{[*?$]\}")


@dataclass(frozen=True)
class Case:
    """A recipe on a device, and what Nucleus Lite selects of it."""

    recipe: Recipe
    host: Host

    @property
    def document(self) -> dict[str, Any]:
        return self.recipe.document

    @cached_property
    def selected(self) -> Selected | None:
        return select(self.recipe, self.host, lite=True)

    @cached_property
    def at(self) -> int:
        """The place of the selected manifest; when none is, after the last."""
        manifests = self.recipe.manifests
        return next((at for at, each in enumerate(manifests) if self.selected and each is self.selected.manifest), len(manifests))

    @property
    def manifest(self) -> dict[str, Any]:
        """The selected one as written, or an empty map."""
        return {} if self.selected is None else dict(self.document["Manifests"][self.at])

    @cached_property
    def lifecycle(self) -> Lifecycle | str:
        """The selected lifecycle, or why it cannot be read."""
        try:
            return parse_lifecycle({} if self.selected is None else self.selected.lifecycle, str(self.recipe.path))
        except RecipeError as fault:
            return str(fault).removeprefix(f"{self.recipe.path}: ")

    @property
    def steps(self) -> list[Step]:
        """What Nucleus Lite runs of it."""
        steps = [] if isinstance(self.lifecycle, str) else list(self.lifecycle.steps.values())
        return [step for step in steps if step.name in STEPS[:4]]

    @property
    def raw_steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Those that are maps, as written."""
        for name in STEPS[:4]:
            value = self.selected.lifecycle.get(name) if self.selected else None
            if isinstance(value, dict):
                yield name, value

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Where recipe variables are filled in."""
        for step in self.steps:
            yield f"{step.name}/Script", step.script
        yield from self.environment

    @property
    def environment(self) -> Iterator[tuple[str, str]]:
        if not isinstance(self.lifecycle, str):
            for name, value in self.lifecycle.setenv:
                yield f"Setenv/{name}", value
        for step in self.steps:
            for name, value in step.setenv:
                yield f"{step.name}/Setenv/{name}", value

    @property
    def dependencies(self) -> Iterator[tuple[str, Any]]:
        """Those that are resolved, as written."""
        for name, value in (self.document.get("ComponentDependencies") or {}).items():
            if name not in BUILT_IN:
                yield name, value


def spelling(case: Case) -> Iterator[str]:
    for where, name in case.recipe.misspelt:
        yield f"the key {where} is spelt {name}, and keys are case-sensitive on Nucleus Lite"


def unknown_keys(case: Case) -> Iterator[str]:
    for key in case.recipe.unknown:
        yield f"the key {key} is unknown and ignored"
    for key in case.selected.lifecycle if case.selected else ():
        if key not in (*STEPS, "Setenv"):
            yield f"the key {key} of the lifecycle is no step; it is ignored"


def component_type(case: Case) -> Iterator[str]:
    if case.recipe.component_type != "aws.greengrass.generic":
        yield f"ComponentType is {case.recipe.component_type}; Nucleus Lite runs aws.greengrass.generic only"


def version(case: Case) -> Iterator[str]:
    text = str(case.document.get("ComponentVersion"))
    if not _SEMVER.fullmatch(text):
        yield f"ComponentVersion is {text[:40]!r}; write major.minor.patch without leading zeros"


def prerelease(case: Case) -> Iterator[str]:
    text = str(case.document.get("ComponentVersion"))
    core = text.partition("+")[0].partition("-")
    if core[1]:
        yield f"ComponentVersion is {text}, which Nucleus Lite takes for later than {core[0]}: it compares versions as text with numbers"


def size(case: Case) -> Iterator[str]:
    path = case.recipe.path
    if path.is_file() and path.stat().st_size > MAX_RECIPE_BYTES:
        yield f"it has {path.stat().st_size} bytes; Nucleus Lite reads recipes of at most {MAX_RECIPE_BYTES}"


def unit_size(case: Case) -> Iterator[str]:
    description = str(case.document.get("ComponentDescription", ""))
    names = sum(2 * len(name) + 40 for name, _ in case.dependencies)
    bytes_ = UNIT_BYTES + len(description.encode()) + 3 * len(case.recipe.name) + names
    if bytes_ > MAX_UNIT_BYTES:
        yield (
            f"its systemd unit has some {bytes_} bytes, of which {MAX_UNIT_BYTES} are possible; shorten ComponentDescription, or"
            " depend on fewer components"
        )


def no_description(case: Case) -> Iterator[str]:
    if not case.document.get("ComponentDescription"):
        yield "it has no ComponentDescription; without one its systemd unit is no part of greengrass-lite.target and is not stopped with it"


def description(case: Case) -> Iterator[str]:
    if re.search(r"[\n\r\\]", str(case.document.get("ComponentDescription", ""))):
        yield "ComponentDescription has a line break or a backslash; it is written into a systemd unit, so write one line"


def dependency(case: Case) -> Iterator[str]:
    for name, value in case.dependencies:
        if isinstance(value, dict) and not isinstance(value.get("VersionRequirement"), str):
            yield f"ComponentDependencies/{name} has no VersionRequirement; write one, such as >=1.0.0"


def requirement(case: Case) -> Iterator[str]:
    for name, value in case.dependencies:
        text = value.get("VersionRequirement") if isinstance(value, dict) else None
        if isinstance(text, str) and not _RANGE.fullmatch(text):
            yield (
                f"ComponentDependencies/{name}/VersionRequirement is {text!r}; Nucleus Lite knows =, <, <=, > and >= before three"
                " numbers, with one blank between two of them, as in >=1.2.0 <2.0.0"
            )


def dependency_type(case: Case) -> Iterator[str]:
    for name, value in case.dependencies:
        kind = value.get("DependencyType") if isinstance(value, dict) else "HARD"
        if kind is None:
            yield f"ComponentDependencies/{name} has no DependencyType; Nucleus Lite then neither starts it first nor stops with it"
        elif kind != "HARD" and str(kind).upper() == "HARD":
            yield f"ComponentDependencies/{name}/DependencyType is {kind!r}, which Nucleus Lite takes for SOFT; write HARD"


def objects(case: Case) -> Iterator[str]:
    count, levels = _extent(case.document)
    if count > MAX_OBJECTS:
        yield (
            f"it has {count} objects (two for a key and its value, one for an item of a list), and {MAX_OBJECTS} are read; shorten the"
            " default configuration"
        )
    if levels > MAX_LEVELS:
        yield f"it is nested {levels} deep, and {MAX_LEVELS} levels are read"


def resources(case: Case) -> Iterator[str]:
    for resource in _resources(case.recipe.default_configuration.get("accessControl")):
        left = _ESCAPE.sub("", resource)
        if "?" in left or "${" in left:
            yield f"accessControl has the resource {resource!r}; Nucleus Lite takes no ?, and no escapes but ${{*}}, ${{?}} and ${{$}}"


def resource_variables(case: Case) -> Iterator[str]:
    for resource in _resources(case.recipe.default_configuration.get("accessControl")):
        if BRACED.search(_ESCAPE.sub("", resource)):
            yield f"accessControl has the resource {resource!r}; Nucleus Lite 2.6.0 and older do not fill in its variable"


def access_variables(case: Case) -> Iterator[str]:
    if has_variables(case.recipe.default_configuration.get("accessControl")):
        yield (
            "accessControl has a recipe variable, which classic fills in only with the option interpolateComponentConfiguration; "
            "write + for a level of an IoT Core topic, as a/+/b for a/{iot:thingName}/b"
        )


def platform(case: Case) -> Iterator[str]:
    for at, manifest in enumerate(case.document.get("Manifests") or []):
        if at > case.at:
            return
        written = manifest.get("Platform")
        if not isinstance(written, dict):
            yield f"Manifests/{at} has no Platform; Nucleus Lite wants one in each manifest up to the one that fits"
            continue
        for key in ("os", "architecture", "runtime"):
            if key in written and not isinstance(written[key], str):
                yield f"Manifests/{at}/Platform/{key} is {written[key]!r}; write text"


def platform_keys(case: Case) -> Iterator[str]:
    for key in case.manifest.get("Platform") or ():
        if key not in ("os", "architecture", "runtime"):
            yield f"Manifests/{case.at}/Platform/{key} is not looked at by Nucleus Lite"


def global_lifecycle(case: Case) -> Iterator[str]:
    if case.selected is not None and case.selected.manifest.lifecycle:
        return
    if isinstance(case.recipe.lifecycle, list):
        yield "the global Lifecycle is a list; write a map with the key all or linux"
    elif isinstance(case.recipe.lifecycle, dict):
        for key in ("all", "linux"):
            if not isinstance(case.recipe.lifecycle.get(key, {}), dict):
                yield f"Lifecycle/{key} is no map of steps"


def no_manifest(case: Case) -> Iterator[str]:
    if case.selected is None:
        yield _why_none(case.recipe, case.host)


def no_step(case: Case) -> Iterator[str]:
    if case.selected is not None and not has_step(case.selected.lifecycle):
        yield "the lifecycle has none of the steps bootstrap, install, startup, run; Nucleus Lite needs one"


def no_artifacts(case: Case) -> Iterator[str]:
    if case.selected is not None and "Artifacts" not in case.manifest:
        yield f"Manifests/{case.at} has no Artifacts, and its deployment from the cloud fails; write Artifacts: [] when there are none"


def artifacts(case: Case) -> Iterator[str]:
    for at, artifact in enumerate(case.manifest.get("Artifacts") or []):
        where = f"Manifests/{case.at}/Artifacts/{at}"
        unarchive, algorithm = artifact.get("Unarchive", "NONE"), artifact.get("Algorithm", "SHA-256")
        if unarchive not in ("NONE", "ZIP"):
            yield f"{where}/Unarchive is {unarchive!r}; write NONE or ZIP, in capitals"
        if algorithm != "SHA-256":
            yield f"{where}/Algorithm is {algorithm!r}; Nucleus Lite knows SHA-256 only"
        scheme = str(artifact.get("Uri", "")).partition(":")[0].lower()
        if scheme not in SCHEMES:
            yield f"{where}/Uri begins with {scheme!r}; Nucleus Lite fetches {', '.join(SCHEMES)}"
        if "Permission" in artifact and not isinstance(artifact["Permission"], dict):
            yield f"{where}/Permission is no map"


def permissions(case: Case) -> Iterator[str]:
    for at, artifact in enumerate(case.manifest.get("Artifacts") or []):
        for key, value in (artifact.get("Permission") or {}).items():
            if value not in ("NONE", "OWNER", "ALL"):
                yield f"Manifests/{case.at}/Artifacts/{at}/Permission/{key} is {value!r}, which counts as not given; write it in capitals"


def archive_names(case: Case) -> Iterator[str]:
    for at, artifact in enumerate(case.manifest.get("Artifacts") or []):
        if artifact.get("Unarchive") == "ZIP" and not str(artifact.get("Uri", "")).endswith(".zip"):
            yield f"Manifests/{case.at}/Artifacts/{at}/Uri does not end with .zip; Nucleus Lite unpacks it to a folder with its whole name"


def step_shape(case: Case) -> Iterator[str]:
    if isinstance(case.lifecycle, str):
        yield case.lifecycle
    for name in STEPS[:4]:
        if case.selected and name in case.selected.lifecycle and case.selected.lifecycle[name] is None:
            yield f"{name} is null; remove it, or write the script"
    for name, step in case.raw_steps:
        if "Setenv" in step and not isinstance(step["Setenv"], dict):
            yield f"{name}/Setenv is no map of names and values"


def privilege(case: Case) -> Iterator[str]:
    for name, step in case.raw_steps:
        value = step.get("RequiresPrivilege", False)
        if not isinstance(value, bool) and value not in ("true", "false"):
            yield f"{name}/RequiresPrivilege is {value!r}; Nucleus Lite takes true or false, in small letters"


def timeout(case: Case) -> Iterator[str]:
    for name, step in case.raw_steps:
        value = step.get("Timeout", 1)
        whole = type(value) is int and value >= 0 or isinstance(value, str) and _WHOLE.fullmatch(value)
        if not whole:
            yield f"{name}/Timeout is {value!r}; Nucleus Lite takes a whole number of seconds, and no recipe variable"


def run_timeout(case: Case) -> Iterator[str]:
    for name, step in case.raw_steps:
        if name == "run" and "Timeout" in step:
            yield "run/Timeout bounds how long it takes to start and to stop on Nucleus Lite, not how long it runs"


def skip_if(case: Case) -> Iterator[str]:
    for step in case.steps:
        if step.skip_if is not None:
            yield f"{step.name}/Skipif is not supported by Nucleus Lite, which runs the step; test for it inside the script"


def ignored_steps(case: Case) -> Iterator[str]:
    for name in () if isinstance(case.lifecycle, str) else case.lifecycle.steps:
        if name not in STEPS[:4]:
            yield f"Nucleus Lite does not run the step {name}; it is ignored"


def startup(case: Case) -> Iterator[str]:
    if any(step.name == "startup" for step in case.steps):
        yield (
            "startup is followed by commands of Nucleus Lite that hide its exit code, and one of them fails with systemd 252 (Debian 12);"
            " do in install what must succeed, and in run what stays"
        )


def startup_and_run(case: Case) -> Iterator[str]:
    if {"startup", "run"} <= {step.name for step in case.steps}:
        yield "there is a startup step, so the run step is ignored; keep one of them"


def environment_names(case: Case) -> Iterator[str]:
    for where, _ in case.environment:
        name = where.rpartition("/")[2]
        if not _ENV_NAME.fullmatch(name):
            yield f"{where} is no name for an environment variable on Nucleus Lite; use letters, digits and _"


def environment_values(case: Case) -> Iterator[str]:
    for where, value in case.environment:
        if not _PLAIN.fullmatch(BRACED.sub("", value)):
            yield f"{where} is {value!r}; Nucleus Lite 2.6.0 and older write it into a shell script without quotes, so set it in the script"


def environment_types(case: Case) -> Iterator[str]:
    maps = [("", case.selected.lifecycle)] if case.selected else []
    for above, holder in (*maps, *((f"{name}/", step) for name, step in case.raw_steps)):
        setenv = holder.get("Setenv")
        for name, value in setenv.items() if isinstance(setenv, dict) else ():
            if not isinstance(value, str):
                yield f"{above}Setenv/{name} is {value!r}; write text, else Nucleus Lite runs nothing of the script"


def braces(case: Case) -> Iterator[str]:
    for where, text in case.texts:
        for found in BRACED.finditer(text):
            if recipe_variable(found[1]) is None:
                yield f"{where} holds {found[0]}; Nucleus Lite takes every brace for a recipe variable, so move it to a file"
            elif len(found[1].encode()) > MAX_VARIABLE_BYTES:
                yield f"{where} holds a variable of {len(found[1].encode())} bytes; Nucleus Lite reads {MAX_VARIABLE_BYTES}"
        if "{" in BRACED.sub("", text):
            yield f"{where} holds a brace that is not closed at once; Nucleus Lite takes it for a recipe variable"


def variables(case: Case) -> Iterator[str]:
    for where, text in case.texts:
        for found in BRACED.finditer(text):
            variable = recipe_variable(found[1])
            if variable is None:
                continue
            if variable[0] is not None:
                yield f"{where} holds {found[0]}; Nucleus Lite knows no variables of other components"
            elif variable[1] != "configuration" and f"{variable[1]}:{variable[2]}" not in SYSTEM:
                yield f"{where} holds {found[0]}; known are {', '.join('{' + name + '}' for name in SYSTEM)}"


def _extent(value: Any) -> tuple[int, int]:
    """(objects below a value, levels)."""
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inside is None:
        return 0, 0
    below = [_extent(each) for each in inside]
    own = len(inside) * (2 if isinstance(value, dict) else 1)
    return own + sum(objects for objects, _ in below), 1 + max((depth for _, depth in below), default=0)


def _resources(access_control: Any) -> Iterator[str]:
    for policies in _maps(access_control):
        for policy in _maps(policies):
            named = policy.get("resources") if isinstance(policy, dict) else None
            yield from (each for each in named if isinstance(each, str)) if isinstance(named, list) else ()


def _maps(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else []


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
