"""Every built recipe is checked against the schema, the features of Nucleus Lite, the declared options, and the topics in use."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeml.config.schema import read
from edgeml.messages import topics
from edgeml_cli.build.package import COMPONENTS, ROOT, SUITE
from gglocal.recipe.lint import lint_file
from gglocal.recipe.manifest_selection import Host

Recipes = Callable[[str], dict[str, Any]]
ALL = (*COMPONENTS, SUITE)
PUBLISH, SUBSCRIBE = "aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"
TO_CLOUD, FROM_CLOUD = "aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"
THING = "+"
"""One level, whatever the thing is called: classic fills in no `{iot:thingName}` unless it is told to."""

ACCESS: dict[str, dict[str, set[str]]] = {
    "com.edgeml.SensorIngestion": {
        PUBLISH: {topics.SENSORS, topics.COMMANDS_ACK, topics.STATUS, topics.HEALTH},
        SUBSCRIBE: {topics.RESULTS, topics.COMMANDS, topics.COMMANDS_RELEASE, topics.REPLAY, topics.ALERTS},
        TO_CLOUD: {topics.cloud_captures(THING)},
        FROM_CLOUD: {topics.cloud_captures(THING)},
    },
    "com.edgeml.Inference": {
        PUBLISH: {topics.RESULTS, topics.REPLAY, topics.STATUS, topics.HEALTH},
        SUBSCRIBE: {topics.SENSORS, topics.REPLAY, topics.CONTROL},
    },
    "com.edgeml.AlertDispatcher": {
        PUBLISH: {topics.ALERTS, topics.COMMANDS, topics.REPLAY, topics.STATUS, topics.HEALTH},
        SUBSCRIBE: {topics.RESULTS, topics.HEALTH, topics.SENSORS, topics.INTERLOCK, topics.COMMANDS_ACK, topics.ALERTS_ACK},
        TO_CLOUD: {topics.cloud_alerts(THING), topics.cloud_results(THING), topics.cloud_health(THING)},
        FROM_CLOUD: {
            topics.cloud_alerts_ack(THING),
            topics.cloud_alerts(THING),
            topics.cloud_results(THING),
            topics.cloud_health(THING),
        },
    },
}
"""What each component may do, beside its heartbeat."""


def granted(recipe: dict[str, Any]) -> list[tuple[str, str]]:
    """(operation, resource), as often as it is granted."""
    services = recipe["ComponentConfiguration"]["DefaultConfiguration"]["accessControl"].values()
    return [
        (operation, resource)
        for policies in services
        for policy in policies.values()
        for operation in policy["operations"]
        for resource in policy["resources"]
    ]


def lower(value: Any) -> Any:
    """With the keys as the schema has them."""
    if isinstance(value, dict):
        return {key.lower(): lower(item) for key, item in value.items()}
    return [lower(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ALL)
def test_recipes_match_the_schema(name: str, recipe: Recipes, shared: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((shared / "schemas" / "gdk" / "recipe_schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(lower(recipe(name)))


def test_gdk_configuration_matches_the_schema(shared: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((shared / "schemas" / "gdk" / "config_schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(json.loads((ROOT / "gdk-config.json").read_text()))


@pytest.mark.parametrize("architecture", ["amd64", "aarch64", "arm"])
@pytest.mark.parametrize("name", ALL)
def test_recipe_uses_only_features_of_nucleus_lite(name: str, architecture: str, built: Path, version: str) -> None:
    host = Host({"os": "linux", "architecture": architecture})
    assert lint_file(built / "recipes" / f"{name}-{version}.yaml", host) == []


@pytest.mark.parametrize("name", ALL)
def test_timeouts_are_strings(name: str, recipe: Recipes) -> None:
    # The classic nucleus reads back its own number as another type after a restart or a rollback. The next deployment, of whatever
    # component, then counts as a changed install step: everything is installed and started again.
    steps = [step for manifest in recipe(name)["Manifests"] for step in manifest["Lifecycle"].values() if isinstance(step, dict)]
    assert [step["Timeout"] for step in steps if not isinstance(step.get("Timeout", ""), str)] == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_default_configuration_matches_the_declared_options(name: str, recipe: Recipes) -> None:
    options = importlib.import_module(f"{COMPONENTS[name]}.options").Options
    default = recipe(name)["ComponentConfiguration"]["DefaultConfiguration"]
    read(options, {key: value for key, value in default.items() if key != "accessControl"})


@pytest.mark.parametrize("name", COMPONENTS)
def test_access_is_limited_to_the_topics_used(name: str, recipe: Recipes) -> None:
    given = granted(recipe(name))
    wanted = {(operation, topic) for operation, names in ACCESS[name].items() for topic in names}
    wanted |= {(operation, topics.heartbeat(name)) for operation in (PUBLISH, SUBSCRIBE)}
    assert set(given) == wanted
    assert len(given) == len(wanted), "a resource is granted twice"


@pytest.mark.parametrize("name", COMPONENTS)
def test_policy_ids_contain_the_component_name(name: str, recipe: Recipes) -> None:
    services = recipe(name)["ComponentConfiguration"]["DefaultConfiguration"]["accessControl"]
    assert all(policy.startswith(f"{name}:") for policies in services.values() for policy in policies)


def test_every_topic_of_the_library_is_in_the_recipes(recipe: Recipes) -> None:
    public = {value for key, value in vars(topics).items() if key.isupper() and isinstance(value, str)}
    in_recipes = {resource for name in COMPONENTS for _, resource in granted(recipe(name))}
    local = {topic for topic in in_recipes if THING not in topic and not topic.startswith("edgeml/heartbeat/")}
    assert local == public


def test_suite_requires_this_version_of_every_component(recipe: Recipes, version: str) -> None:
    suite = recipe(SUITE)
    assert suite["ComponentDependencies"] == {name: {"VersionRequirement": version, "DependencyType": "HARD"} for name in COMPONENTS}
    assert [list(manifest["Lifecycle"]) for manifest in suite["Manifests"]] == [["run"]]
    assert [manifest["Artifacts"] for manifest in suite["Manifests"]] == [[]]  # Nucleus Lite refuses a manifest without the key


@pytest.mark.parametrize("name", ALL)
def test_artifacts_are_built_and_placeholders_filled_in(name: str, recipe: Recipes, built: Path, version: str) -> None:
    place = built / "artifacts" / name / version
    uris = [artifact["Uri"] for manifest in recipe(name)["Manifests"] for artifact in manifest.get("Artifacts", ())]
    assert {uri.rsplit("/", 1)[1] for uri in uris} == {path.name for path in place.iterdir()}
    assert all(uri.startswith(f"s3://BUCKET_NAME/{name}/{version}/") for uri in uris)
    assert "COMPONENT_" not in (built / "recipes" / f"{name}-{version}.yaml").read_text()


def test_gdk_finds_the_recipe_of_the_suite(built: Path, version: str) -> None:
    link = ROOT / "recipe.yaml"
    assert link.is_symlink()
    under_gdk = built / "recipes" / link.resolve().name
    assert under_gdk.read_bytes() == (built / "recipes" / f"{SUITE}-{version}.yaml").read_bytes()
