from __future__ import annotations

from pathlib import Path

import pytest

from gglocal.deployment.resolver import RecipeStore, configuration_updates, resolve
from gglocal.errors import DeploymentError, RecipeError
from gglocal.profile import CLASSIC, LITE, Profile
from gglocal.recipe.manifest_selection import Host
from tests.gglocal.recipes import Shelf

HOST = Host({"os": "linux", "architecture": "amd64"})


def _plan(shelf: Shelf, **roots: str) -> list[str]:
    store = RecipeStore(LITE)
    store.add_directory(shelf.recipes)
    return [str(planned.recipe) for planned in resolve(roots, store, HOST)]


def test_dependencies_come_first_and_the_nucleus_is_no_component(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("app", {"run": "true"}, needs={"db": "HARD", "log": "SOFT", "aws.greengrass.Nucleus": "SOFT"})
    shelf.add("db", {"run": "true"}, needs={"log": "HARD", "aws.greengrass.ShadowManager": "SOFT"})
    shelf.add("log", {"run": "true"})
    shelf.add("stranger", {"run": "true"})
    assert _plan(shelf, app="1.0.0") == ["log 1.0.0", "db 1.0.0", "app 1.0.0"]


def test_the_highest_version_that_everybody_wants(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for version in ("1.0.0", "1.5.0", "2.0.0"):
        shelf.add("lib", {"run": "true"}, version)
    text = shelf.add("one", {"run": "true"}, needs={"lib": "HARD"}).read_text()
    shelf.write("one-1.0.0.json", text.replace(">=0.0.0", ">=1.0.0 <2.0.0"))
    shelf.add("two", {"run": "true"}, needs={"lib": "HARD"})
    assert "lib 1.5.0" in _plan(shelf, one="*", two="*")
    with pytest.raises(
        DeploymentError, match=r"no version of lib satisfies.*one 1.0.0 requires >=1.0.0 <2.0.0.*available: 1.0.0, 1.5.0, 2.0.0"
    ):
        _plan(shelf, one="*", lib="2.0.0")


def test_what_is_missing_or_goes_in_circles(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("a", {"run": "true"}, needs={"b": "HARD"})
    wanted = r"no recipe of b found \(a 1.0.0 requires >=0.0.0\); recipes found: a$"
    with pytest.raises(DeploymentError, match=wanted):
        _plan(shelf, a="1.0.0")
    shelf.add("b", {"run": "true"}, needs={"a": "SOFT"})
    with pytest.raises(DeploymentError, match="a -> b -> a"):
        _plan(shelf, a="1.0.0")


@pytest.mark.parametrize("profile", [LITE, CLASSIC])
def test_a_newer_recipe_that_cannot_be_read_fails_the_deployment(tmp_path: Path, profile: Profile) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("a", {"run": "true"}, "1.0.0")
    store = RecipeStore(profile)
    store.add_directory(shelf.recipes)
    shelf.add("a", {"run": "true"}, "1.1.0").write_text('{"ComponentName": "a", "ComponentVersion": "1.1.0", ')
    shelf.write("worse.yaml", "ComponentName: [")
    shelf.add("b", {"run": "true"})
    with pytest.raises(RecipeError, match=r"a-1.1.0.json: invalid JSON.*; .*worse.yaml: invalid YAML.*Nothing was deployed"):
        store.add_directory(shelf.recipes)
    with pytest.raises(DeploymentError, match="no recipe of b"):
        resolve({"b": "*"}, store, HOST)


def test_lite_refuses_what_classic_takes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.add("a", {"Run": "true"}, manifest={"Platform": {"os": "linux"}})
    with pytest.raises(RecipeError, match="case-sensitive on Nucleus Lite"):
        _plan(shelf, a="1.0.0")
    store = RecipeStore(CLASSIC)
    store.add_directory(shelf.recipes)
    assert resolve({"a": "1.0.0"}, store, HOST)[0].selected.lifecycle == {"run": "true"}


def test_configuration_updates_in_either_case() -> None:
    assert configuration_updates({"a": {"MERGE": {"x": 1}}, "b": {"reset": ["/y"], "merge": '{"z": 2}'}}, "-") == {
        "a": {"merge": {"x": 1}, "reset": []},
        "b": {"merge": {"z": 2}, "reset": ["/y"]},
    }
    with pytest.raises(DeploymentError, match="accepts only merge"):
        configuration_updates({"a": {"x": 1}}, "-")
