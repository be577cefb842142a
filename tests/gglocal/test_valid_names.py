"""Names in recipes, deployments and commands cannot leave the root folder, which other users cannot access."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gglocal.api.nucleus import Nucleus
from gglocal.cli import main
from gglocal.errors import NucleusError, RecipeError
from gglocal.recipe.parser import load_recipe
from gglocal.root_dir import Root
from tests.gglocal.recipes import RecipeFolder

OUTSIDE = ("..", ".", "../../escaped", "/tmp/escaped", "a/b", "a b", "a\n", "a\x00", "", "ä", "a\u202eb", "{a}", "~", "a" * 129)


def _recipe(tmp_path: Path, **keys: object) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"ComponentName": "a", "ComponentVersion": "1.0.0", **keys}))
    return path


@pytest.mark.parametrize("name", OUTSIDE)
def test_recipe_with_an_invalid_name_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match="ComponentName"):
        load_recipe(_recipe(tmp_path, ComponentName=name))
    with pytest.raises(RecipeError, match="ComponentDependencies: "):
        load_recipe(_recipe(tmp_path, ComponentDependencies={name: {"VersionRequirement": "*"}}))


def test_names_and_versions_at_the_length_limit_are_accepted(tmp_path: Path) -> None:
    recipe = load_recipe(_recipe(tmp_path, ComponentName="aZ0-_." + "b" * 122, ComponentVersion="1.0.0-" + "a" * 58))
    assert (len(recipe.name), len(str(recipe.version))) == (128, 64)
    with pytest.raises(RecipeError, match="ComponentVersion has 65 characters; at most 64"):
        load_recipe(_recipe(tmp_path, ComponentVersion="1.0.0-" + "a" * 59))
    with pytest.raises(RecipeError, match="not a semantic version"):
        load_recipe(_recipe(tmp_path, ComponentVersion="1.0.\u0663"))


@pytest.mark.parametrize("name", ["...zip", "..zip", "..", ". .zip", "a\x00.zip", "a" * 300 + ".zip"])
def test_artifact_with_an_escaping_name_is_rejected(tmp_path: Path, name: str) -> None:
    manifests = [{"Artifacts": [{"Uri": f"s3://b/{name}", "Unarchive": "ZIP"}]}]
    with pytest.raises(RecipeError, match="Manifests/0/Artifacts/0/Uri: .*file"):
        load_recipe(_recipe(tmp_path, Manifests=manifests))


@pytest.mark.parametrize(("uri", "folder"), [("s3://b/model.tar.zip", "model.tar"), ("s3://b/.hidden", ""), ("s3://b/plain", "plain")])
def test_artifact_is_unpacked_to_its_name_without_the_extension(tmp_path: Path, uri: str, folder: str) -> None:
    recipe = load_recipe(_recipe(tmp_path, Manifests=[{"Artifacts": [{"Uri": uri}]}]))
    assert recipe.manifests[0].artifacts[0].stem == folder


def test_deployment_with_invalid_names_writes_nothing(tmp_path: Path, gglocal: Nucleus) -> None:
    folder = RecipeFolder(tmp_path / "folder")
    folder.write("a.json", folder.add("a", {"run": "true"}).read_text().replace('"a"', '"../../escaped"'))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecipeError, match="not a valid component name"):
        gglocal.deploy(folder.recipes, folder.artifacts, {"../../escaped": "1.0.0"})
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "use",
    [
        lambda nucleus, name: nucleus.log_file(name),
        lambda nucleus, name: nucleus.work_dir(name),
        lambda nucleus, name: nucleus.tail(name),
        lambda nucleus, name: nucleus.client_env(name, {}),
    ],
)
def test_component_name_cannot_be_a_path(gglocal: Nucleus, use: Callable[[Nucleus, str], object]) -> None:
    with pytest.raises(NucleusError, match="not a valid component name"):
        use(gglocal, "../../escaped")


def test_log_name_cannot_be_a_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret.log").write_text("secret")
    (tmp_path / "root" / "logs").mkdir(parents=True)
    assert main.main(["logs", "../../secret", "--root", str(tmp_path / "root")]) == 2
    output = capsys.readouterr()
    assert "not a valid component name" in output.err and "secret" not in output.out


@pytest.mark.parametrize("name", ["", "a/b", "a#", "a b", "../x", "ä", "t" * 129])
def test_thing_name_is_validated(tmp_path: Path, name: str) -> None:
    with pytest.raises(NucleusError, match="thing name"):
        Nucleus(tmp_path / "root", thing_name=name)


def test_existing_root_folder_is_restricted_to_its_user(tmp_path: Path) -> None:
    for held in (False, True):
        path = tmp_path / f"root-{held}"
        path.mkdir(mode=0o755)
        if held:
            Root(path).acquire()
        path.chmod(0o755)
        root = Root(path)
        root.acquire()
        root.release()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_folder_with_other_files_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "home"
    path.mkdir()
    path.chmod(0o755)
    (path / "letter").touch()
    with pytest.raises(NucleusError, match=r"other users may access it \(mode 755\); choose a new folder with --root, or run: chmod 700"):
        Root(path).acquire()
    assert stat.S_IMODE(path.stat().st_mode) == 0o755 and [each.name for each in path.iterdir()] == ["letter"]
    path.chmod(0o700)
    Root(path).acquire()
