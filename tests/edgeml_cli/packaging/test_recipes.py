"""Every built recipe is checked against the schema, the features of Nucleus Lite, the declared options, and the topics in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeml.config.schema import read
from edgeml.messages.topics import TOPICS
from edgeml_cli.build import topic_tables
from edgeml_cli.build.package import COMPONENTS, ROOT, SUITE
from edgeml_cli.fleet.config_check import OPTIONS
from gglocal.ipc.operations import SERVICES
from gglocal.recipe.lint import lint_file
from gglocal.recipe.manifest_selection import Host

Recipes = Callable[[str], dict[str, Any]]
ALL = (*COMPONENTS, SUITE)


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
    assert lint_file(built / "recipes" / f"{name}-{version}.yaml", host, services=SERVICES) == []


@pytest.mark.parametrize("name", ALL)
def test_timeouts_are_strings(name: str, recipe: Recipes) -> None:
    # The classic nucleus reads back its own number as another type after a restart or a rollback. The next deployment, of whatever
    # component, then counts as a changed install step: everything is installed and started again.
    steps = [step for manifest in recipe(name)["Manifests"] for step in manifest["Lifecycle"].values() if isinstance(step, dict)]
    assert [step["Timeout"] for step in steps if not isinstance(step.get("Timeout", ""), str)] == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_default_configuration_matches_the_declared_options(name: str, recipe: Recipes) -> None:
    default = recipe(name)["ComponentConfiguration"]["DefaultConfiguration"]
    read(OPTIONS[name], {key: value for key, value in default.items() if key != "accessControl"})


@pytest.mark.parametrize("name", COMPONENTS)
def test_access_is_limited_to_the_topics_used(name: str, recipe: Recipes) -> None:
    given = granted(recipe(name))
    expected = [(operation, resource) for (_, operation), resources in topic_tables.grants(name).items() for resource in resources]
    assert set(given) == set(expected)
    assert len(given) == len(set(expected)), "a resource is granted twice"


@pytest.mark.parametrize("name", COMPONENTS)
def test_policy_ids_contain_the_component_name(name: str, recipe: Recipes) -> None:
    services = recipe(name)["ComponentConfiguration"]["DefaultConfiguration"]["accessControl"]
    assert all(policy.startswith(f"{name}:") for policies in services.values() for policy in policies)


def test_every_topic_is_granted_to_some_component(recipe: Recipes) -> None:
    in_recipes = {resource for name in COMPONENTS for _, resource in granted(recipe(name))}
    assert in_recipes == {topic_tables.resource(topic, name) for topic in TOPICS for name in COMPONENTS}


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
