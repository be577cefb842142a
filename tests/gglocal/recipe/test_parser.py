from __future__ import annotations

import re
from pathlib import Path

import pytest

from gglocal.errors import RecipeError
from gglocal.recipe.parser import HARD, SOFT, load_recipe

YAML = """
RecipeFormatVersion: 2020-01-25
ComponentName: com.example.Full
ComponentVersion: '1.2.3'
ComponentConfiguration:
  DefaultConfiguration:
    interval: 5
    ratio: 0.50
    on: true
ComponentDependencies:
  com.example.A:
    VersionRequirement: ^1.0.0
  com.example.B:
    VersionRequirement: '>=0.1.0'
    DependencyType: SOFT
Manifests:
  - Platform: {os: linux, runtime: '*'}
    Lifecycle:
      run:
        Script: |
          echo one
          echo two
        Timeout: 30
    Artifacts:
      - Uri: s3://bucket/path/code.zip
        Unarchive: ZIP
        Permission: {Read: ALL, Execute: OWNER}
"""


def test_complete_recipe_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(YAML)
    recipe = load_recipe(path)
    assert (recipe.name, str(recipe.version)) == ("com.example.Full", "1.2.3")
    assert recipe.dependencies["com.example.A"].kind == HARD
    assert recipe.dependencies["com.example.B"].kind == SOFT
    artifact = recipe.manifests[0].artifacts[0]
    assert (artifact.file_name, artifact.unarchive, artifact.read, artifact.execute) == ("code.zip", "ZIP", "ALL", "OWNER")
    assert recipe.default_configuration["interval"] == 5


def test_lite_reads_every_yaml_scalar_as_text(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(YAML)
    assert load_recipe(path, text_scalars=True).default_configuration == {"interval": "5", "ratio": "0.50", "on": "true"}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ComponentVersion: '1.0.0'", "ComponentName is missing"),
        ("ComponentName: a\nComponentVersion: 1.0", "ComponentVersion is 1.0; write it as a string, in quotes"),
        ("ComponentName: a\nComponentVersion: one", "ComponentVersion: 'one' is not a semantic version"),
        ("ComponentName: a\nComponentVersion: 1.0.0\nManifests: {}", "Manifests must be a list"),
        ("ComponentName: a\nComponentVersion: 1.0.0\nComponentDependencies: {b: {DependencyType: FIRM}}", "write HARD or SOFT"),
        (
            "ComponentName: a\nComponentVersion: 1.0.0\nManifests: [{Artifacts: [{Unarchive: ZIP}]}]",
            "Manifests/0/Artifacts/0/Uri is missing",
        ),
        ("ComponentName: [", "invalid YAML at line 1"),
        ("- a", "a recipe must be a map of keys"),
    ],
)
def test_parse_errors_name_the_file_and_the_key(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=re.escape(expected)) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


def test_invalid_json_is_located(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"ComponentName": "a",}')
    with pytest.raises(RecipeError, match="invalid JSON at line 1, column"):
        load_recipe(path)


def test_parse_errors_are_collected(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("ComponentVersion: 7\nManifests: 3")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert all(key in str(caught.value) for key in ("ComponentName", "ComponentVersion", "Manifests"))


def test_misspelled_keys_are_normalized_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "componentname: a\nComponentVersion: 1.0.0\nmanifests: [{platform: {os: linux}, lifecycle: {Run: {script: 'true'}},"
        " Artifacts: [{URI: 's3://b/x'}]}]"
    )
    recipe = load_recipe(path)
    assert recipe.manifests[0].lifecycle == {"run": {"Script": "true"}}
    assert dict(recipe.misspelled)["manifests/0/lifecycle/Run/script"] == "Script"
    assert dict(recipe.misspelled)["manifests/0/Artifacts/0/URI"] == "Uri"
