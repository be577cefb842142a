from __future__ import annotations

from pathlib import Path

import pytest

from gglocal.deployment.resolver import RecipeStore, configuration_updates, resolve
from gglocal.errors import DeploymentError, RecipeError
from gglocal.profile import CLASSIC, LITE, Profile
from gglocal.recipe.manifest_selection import Host
from tests.gglocal.recipes import RecipeFolder

HOST = Host({"os": "linux", "architecture": "amd64"})


def _plan(folder: RecipeFolder, **roots: str) -> list[str]:
    store = RecipeStore(LITE)
    store.add_directory(folder.recipes)
    return [str(planned.recipe) for planned in resolve(roots, store, HOST)]


def test_plan_starts_with_dependencies_and_omits_the_nucleus(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("app", {"run": "true"}, needs={"db": "HARD", "log": "SOFT", "aws.greengrass.Nucleus": "SOFT"})
    folder.add("db", {"run": "true"}, needs={"log": "HARD", "aws.greengrass.ShadowManager": "SOFT"})
    folder.add("log", {"run": "true"})
    folder.add("stranger", {"run": "true"})
    assert _plan(folder, app="1.0.0") == ["log 1.0.0", "db 1.0.0", "app 1.0.0"]


def test_plan_has_the_highest_version_that_satisfies_all(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    for version in ("1.0.0", "1.5.0", "2.0.0"):
        folder.add("lib", {"run": "true"}, version)
    text = folder.add("one", {"run": "true"}, needs={"lib": "HARD"}).read_text()
    folder.write("one-1.0.0.json", text.replace(">=0.0.0", ">=1.0.0 <2.0.0"))
    folder.add("two", {"run": "true"}, needs={"lib": "HARD"})
    assert "lib 1.5.0" in _plan(folder, one="*", two="*")
    with pytest.raises(
        DeploymentError, match=r"no version of lib satisfies.*one 1.0.0 requires >=1.0.0 <2.0.0.*available: 1.0.0, 1.5.0, 2.0.0"
    ):
        _plan(folder, one="*", lib="2.0.0")


def test_missing_and_cyclic_dependencies_are_rejected(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", {"run": "true"}, needs={"b": "HARD"})
    expected = r"no recipe of b found \(a 1.0.0 requires >=0.0.0\); recipes found: a$"
    with pytest.raises(DeploymentError, match=expected):
        _plan(folder, a="1.0.0")
    folder.add("b", {"run": "true"}, needs={"a": "SOFT"})
    with pytest.raises(DeploymentError, match="a -> b -> a"):
        _plan(folder, a="1.0.0")


@pytest.mark.parametrize("profile", [LITE, CLASSIC])
def test_invalid_newer_recipe_fails_the_deployment(tmp_path: Path, profile: Profile) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", {"run": "true"}, "1.0.0")
    store = RecipeStore(profile)
    store.add_directory(folder.recipes)
    folder.add("a", {"run": "true"}, "1.1.0").write_text('{"ComponentName": "a", "ComponentVersion": "1.1.0", ')
    folder.write("worse.yaml", "ComponentName: [")
    folder.add("b", {"run": "true"})
    with pytest.raises(RecipeError, match=r"a-1.1.0.json: invalid JSON.*; .*worse.yaml: invalid YAML.*Nothing was deployed"):
        store.add_directory(folder.recipes)
    with pytest.raises(DeploymentError, match="no recipe of b"):
        resolve({"b": "*"}, store, HOST)


def test_lite_rejects_a_recipe_that_classic_accepts(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", {"Run": "true"}, manifest={"Platform": {"os": "linux"}})
    with pytest.raises(RecipeError, match="case-sensitive on Nucleus Lite"):
        _plan(folder, a="1.0.0")
    store = RecipeStore(CLASSIC)
    store.add_directory(folder.recipes)
    assert resolve({"a": "1.0.0"}, store, HOST)[0].selected.lifecycle == {"run": "true"}


def test_configuration_updates_accept_both_cases() -> None:
    assert configuration_updates({"a": {"MERGE": {"x": 1}}, "b": {"reset": ["/y"], "merge": '{"z": 2}'}}, "-") == {
        "a": {"merge": {"x": 1}, "reset": []},
        "b": {"merge": {"z": 2}, "reset": ["/y"]},
    }
    with pytest.raises(DeploymentError, match="accepts only merge"):
        configuration_updates({"a": {"x": 1}}, "-")
