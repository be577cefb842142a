"""Every lint rule: invalid recipes with a finding, and a valid recipe without one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gglocal.ipc.operations import SERVICES
from gglocal.recipe.lint import CLASSIC, FAILS, IGNORED, REFUSED, RULES, findings, lint_file
from gglocal.recipe.manifest_selection import Host
from gglocal.recipe.parser import load_recipe
from tests.gglocal.recipes import LINUX, RecipeFolder

HOST = Host({"os": "linux", "architecture": "amd64"})
ACCESS = "aws.greengrass.ipc.pubsub"

GOOD: dict[str, Any] = {
    "RecipeFormatVersion": "2020-01-25",
    "ComponentName": "com.example.A",
    "ComponentVersion": "1.0.0",
    "ComponentDescription": "One line.",
    "ComponentConfiguration": {
        "DefaultConfiguration": {
            "interval": 5,
            "accessControl": {ACCESS: {"p": {"operations": ["*"], "resources": ["a/b", "a/${*}", "a/*"]}}},
        }
    },
    "ComponentDependencies": {
        "com.example.B": {"VersionRequirement": ">=1.2.0 <2.0.0", "DependencyType": "HARD"},
        "com.example.C": {"VersionRequirement": "1.0.0-rc.1", "DependencyType": "SOFT"},
        "aws.greengrass.Nucleus": {},
    },
    "Manifests": [
        {
            "Platform": LINUX,
            "Lifecycle": {
                "Setenv": {"A": "{work:path}/x"},
                "install": {"Script": "true", "Timeout": 900, "RequiresPrivilege": True, "Setenv": {"B": "1"}},
                "run": "python3 {artifacts:path}/a.py '{configuration:/interval}'",
            },
            "Artifacts": [
                {"Uri": "s3://b/a.zip", "Unarchive": "ZIP", "Algorithm": "SHA-256", "Digest": "", "Permission": {"Read": "ALL"}},
                {"Uri": "docker:x"},
            ],
        },
        {"Lifecycle": {"run": "for classic"}},
    ],
}


def test_valid_recipe_has_no_findings(tmp_path: Path) -> None:
    path = tmp_path / "good.json"
    path.write_text(json.dumps(GOOD))
    assert findings(load_recipe(path), HOST, SERVICES) == [] == lint_file(path, HOST, services=SERVICES)


Change = Callable[[dict[str, Any]], object]


def lifecycle(**steps: Any) -> Change:
    return lambda recipe: recipe["Manifests"][0].update(Lifecycle=steps)


def step(**fields: Any) -> Change:
    return lambda recipe: recipe["Manifests"][0].update(Lifecycle={"run": {"Script": "true", **fields}})


def top(**fields: Any) -> Change:
    return lambda recipe: recipe.update(fields)


def manifest(**fields: Any) -> Change:
    return lambda recipe: recipe["Manifests"][0].update(fields)


def needs(**fields: Any) -> Change:
    return lambda recipe: recipe.update(ComponentDependencies={"com.example.B": fields})


def ranged(text: str) -> Change:
    return needs(VersionRequirement=text, DependencyType="HARD")


def configured(**configuration: Any) -> Change:
    return lambda recipe: recipe["ComponentConfiguration"].update(DefaultConfiguration=configuration)


def access(resource: str) -> Change:
    return configured(accessControl={ACCESS: {"p": {"operations": ["*"], "resources": ["fine", resource]}}})


def granted(operation: str) -> Change:
    return configured(accessControl={ACCESS: {"p": {"operations": ["aws.greengrass#PublishToTopic", operation], "resources": ["a"]}}})


def shared(lifecycle: Any) -> Change:
    def change(recipe: dict[str, Any]) -> None:
        del recipe["Manifests"][0]["Lifecycle"]
        recipe["Lifecycle"] = lifecycle

    return change


def without(key: str) -> Change:
    return lambda recipe: recipe.pop(key)


CASES: dict[str, list[tuple[Change, str]]] = {
    "key case": [
        (lifecycle(Run="true"), "the key Manifests/0/Lifecycle/Run must be spelled run"),
        (step(script="true"), "must be spelled Script"),
        (manifest(Artifacts=[{"URI": "s3://b/a"}]), "must be spelled Uri"),
    ],
    "unknown key": [
        (top(Author="me"), "the key Author is unknown"),
        (lifecycle(run="true", go="true"), "go of the lifecycle is not a step"),
    ],
    "component type": [(top(ComponentType="aws.greengrass.lambda"), "ComponentType is aws.greengrass.lambda")],
    "version": [(top(ComponentVersion="1.0.0-01"), "without leading zeros")],
    "prerelease": [(top(ComponentVersion="1.2.0-rc.1+b"), "orders after 1.2.0")],
    "size": [(top(ComponentPublisher="x" * 8000), "reads at most 8196")],
    "objects": [
        (configured(list=[0] * 174), "the recipe has 256 objects"),
        (configured(map={str(i): i for i in range(87)}), "the recipe has 256 objects"),
        (lambda recipe: configured(a=nested(12))(recipe), "the recipe is nested 15 levels deep"),
    ],
    "unit size": [(top(ComponentDescription="x" * 1500), "the limit is 2048")],
    "no description": [(without("ComponentDescription"), "ComponentDescription is missing")],
    "description": [(top(ComponentDescription="one\ntwo"), "write one plain line"), (top(ComponentDescription="a\\"), "a backslash")],
    "dependency": [(needs(DependencyType="HARD"), "com.example.B has no VersionRequirement")],
    "requirement": [
        (ranged(text), f"VersionRequirement is {text!r}")
        for text in (
            "^1.2.0",
            "~1.2.0",
            "*",
            "1.x",
            "1.2",
            "",
            "1.0.0 || 2.0.0",
            "1.0.0 - 2.0.0",
            ">=1.0.0,<2.0.0",
            ">= 1.0.0",
            ">=1.0.0  <2.0.0",
            ">=1.0.0 ",
            " 1.0.0",
            "v1.0.0",
        )
    ],
    "dependency type": [
        (needs(VersionRequirement="1.0.0"), "has no DependencyType"),
        (needs(VersionRequirement="1.0.0", DependencyType="hard"), "treats as SOFT"),
    ],
    "resource": [(access("a/?"), "resource 'a/?'"), (access("a/${ThingName}"), "resource 'a/${ThingName}'")],
    "resource variable": [(access("a/{iot:thingName}"), "2.6.0 and older do not replace")],
    "access variable": [(access("a/{iot:thingName}"), "interpolateComponentConfiguration")],
    "operation service": [
        (granted("aws.greengrass#PublishToIoTCore"), "move it to aws.greengrass.ipc.mqttproxy"),
        (granted("aws.greengrass#UpdateState"), "remove it, it needs no policy"),
    ],
    "unknown operation": [(granted("aws.greengrass#PublishToTopics"), "does not support; check its spelling")],
    "platform": [
        (lambda recipe: recipe["Manifests"].reverse(), "Manifests/0 has no Platform"),
        (manifest(Platform={**LINUX, "architecture": ["amd64"]}), "architecture is ['amd64']"),
    ],
    "platform key": [(manifest(Platform={**LINUX, "architecture.detail": "armv7l"}), "Platform/architecture.detail is ignored")],
    "global lifecycle": [
        (shared([{"run": "true"}]), "the global Lifecycle is a list"),
        (shared({"all": "true"}), "Lifecycle/all must be a map"),
    ],
    "no manifest": [
        (manifest(Platform={"os": "linux"}), 'add runtime: "*" to its Platform'),
        (top(Manifests=[]), "Manifests is empty"),
        (manifest(Platform={**LINUX, "architecture": "/amd64|arm/"}), "does not support regular expressions"),
        (manifest(Platform={"runtime": "*"}), "os and runtime are required"),
    ],
    "no step": [(lifecycle(shutdown="true"), "none of the steps bootstrap, install, startup, run")],
    "no artifacts": [(lambda recipe: recipe["Manifests"][0].pop("Artifacts"), "write Artifacts: [] if there are none")],
    "artifact": [
        (manifest(Artifacts=[{"Uri": "s3://b/a.zip", "Unarchive": "zip"}]), "Unarchive is 'zip'; write NONE or ZIP, in capitals"),
        (manifest(Artifacts=[{"Uri": "s3://b/a", "Algorithm": "SHA-512"}]), "Algorithm is 'SHA-512'"),
        (manifest(Artifacts=[{"Uri": "https://b/a"}]), "Uri begins with 'https'"),
    ],
    "permission": [(manifest(Artifacts=[{"Uri": "s3://b/a", "Permission": {"Read": "all"}}]), "Permission/Read is 'all'")],
    "archive name": [(manifest(Artifacts=[{"Uri": "s3://b/a.ZIP", "Unarchive": "ZIP"}]), "does not end with .zip")],
    "step": [
        (lifecycle(run=["true"]), "run is a list"),
        (lifecycle(run={"Timeout": 3}), "run has no Script"),
        (lifecycle(run="true", install=None), "install is null"),
        (step(Setenv=None), "run/Setenv must be a map"),
    ],
    "privilege": [(step(RequiresPrivilege=value), f"RequiresPrivilege is {value!r}") for value in ("True", "TRUE", None)],
    "timeout": [
        (step(Timeout=value), f"Timeout is {value!r}; Nucleus Lite accepts a whole number")
        for value in (3.5, -1, "10 s", "-1", "", None, "{configuration:/interval}")
    ],
    "run timeout": [(step(Timeout=3), "not the time that the step runs")],
    "skipif": [(step(Skipif="onpath git"), "run/Skipif is not supported")],
    "ignored step": [(lifecycle(run="true", **{name: "true"}), f"step {name} is ignored") for name in ("shutdown", "recover", "uninstall")],
    "startup": [(lifecycle(startup="true"), "hide its exit code")],
    "startup and run": [(lifecycle(startup="true", run="true"), "the run step is ignored")],
    "environment name": [(step(Setenv={"a-b": "1"}), "run/Setenv/a-b is not a valid name")],
    "environment value": [
        (step(Setenv={"A": value}), "write it into a shell script without quotes")
        for value in ("two words", "a;b", "$(date)", "it's", "x\ny")
    ],
    "environment type": [
        (step(Setenv={"A": 1}), "run/Setenv/A is 1; it must be a string"),
        (lifecycle(Setenv={"A": True}, run="true"), "Setenv/A is True; it must be a string"),
    ],
    "brace": [
        (lifecycle(run="echo ${HOME}"), "treats every brace as a recipe variable"),
        (lifecycle(run="echo {"), "unmatched or nested brace"),
        (lifecycle(run="{configuration:/" + "x" * 250 + "}"), "a variable of 265 bytes"),
    ],
    "variable": [
        (lifecycle(run="{com.example.B:artifacts:path}/x"), "not support variables of other components"),
        (lifecycle(run="{artifacts:where}/x"), "run/Script contains {artifacts:where}; known variables"),
        (lifecycle(Setenv={"A": "{iot:name}"}, run="true"), "Setenv/A contains {iot:name}"),
    ],
}


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 0


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("rule, change, expected", [(rule, *case) for rule, cases in CASES.items() for case in cases])
def test_rule_reports_its_case(tmp_path: Path, rule: str, change: Change, expected: str) -> None:
    recipe = copy.deepcopy(GOOD)
    change(recipe)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(recipe))
    found = findings(load_recipe(path), HOST, SERVICES)
    (match, *_) = [finding for finding in found if finding.rule == rule and expected in finding.text] or [None]
    assert match is not None, found
    assert match.kind == RULES[rule].kind
    assert any(line == f"{path}: {match.text}" for line in lint_file(path, HOST, services=SERVICES)) == (
        match.kind in (REFUSED, FAILS, CLASSIC)
    )


@pytest.mark.parametrize(
    "change",
    [
        configured(list=[0] * 173),
        lambda recipe: configured(a=nested(11))(recipe),
        top(ComponentDescription="x" * 1300),
        lambda recipe: recipe.update(ComponentPublisher="x" * (8196 - len(json.dumps({**recipe, "ComponentPublisher": ""})))),
        step(Timeout=0),
        step(Timeout="10"),
        step(Timeout=" 10"),
        step(RequiresPrivilege="false"),
        ranged("1.0.0"),
        ranged("=1.0.0 >0.1.0 <=2.0.0"),
    ],
)
def test_values_at_the_limit_have_no_findings(tmp_path: Path, change: Change) -> None:
    recipe = copy.deepcopy(GOOD)
    change(recipe)
    path = tmp_path / "good.json"
    path.write_text(json.dumps(recipe))
    assert lint_file(path, HOST) == []


@pytest.mark.parametrize(
    "written, refused",
    [
        ("Timeout: 3", False),
        ("Timeout: 3.5", True),
        ("Timeout: 1e3", True),
        ("RequiresPrivilege: true", False),
        ("RequiresPrivilege: True", True),
        ("RequiresPrivilege: yes", True),
        ("Setenv:", True),
    ],
)
def test_yaml_scalars_are_text_as_on_a_device(tmp_path: Path, written: str, refused: bool) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "ComponentName: a\nComponentVersion: 1.0.0\nManifests:\n  - Platform: {os: linux, runtime: '*'}\n    Artifacts: []\n"
        f"    Lifecycle:\n      install:\n        Script: 'true'\n        {written}\n"
    )
    assert bool(lint_file(path, HOST)) is refused


def test_shutdown_and_recover_are_only_ignored(tmp_path: Path) -> None:
    path = RecipeFolder(tmp_path).add("a", {"run": "true", "shutdown": "echo ${X}", "recover": "true"})
    assert lint_file(path, HOST) == []
    assert [finding.kind for finding in findings(load_recipe(path), HOST)] == [IGNORED, IGNORED]
