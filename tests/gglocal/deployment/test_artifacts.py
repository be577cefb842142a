from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from gglocal.deployment import artifacts
from gglocal.errors import ArtifactError
from gglocal.recipe.parser import Recipe, load_recipe
from tests.gglocal.recipes import RecipeFolder


def _zip(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


def _store(tmp_path: Path, recipe: Recipe, folder: RecipeFolder) -> tuple[Path, Path]:
    into, unarchived = tmp_path / "into", tmp_path / "unarchived"
    artifacts.store(recipe, recipe.manifests[0], [folder.artifacts], into, unarchived)
    return into, unarchived


def _recipe(folder: RecipeFolder, files: dict[str, str | bytes], *artifact: dict[str, object]) -> Recipe:
    return load_recipe(folder.add("a", {"run": "true"}, files=files, manifest={"Artifacts": list(artifact)}))


def test_zip_is_unpacked_to_a_folder_of_its_name(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    uri = {"Uri": "s3://BUCKET_NAME/a/1.0.0/code.zip", "Unarchive": "ZIP", "Permission": {"Execute": "OWNER"}}
    recipe = _recipe(folder, {"code.zip": _zip(main_py="1", pkg__x_py="2")}, uri)
    _, unarchived = _store(tmp_path, recipe, folder)
    assert (unarchived / "code" / "main.py").read_text() == "1"
    assert (unarchived / "code" / "pkg" / "x.py").read_text() == "2"
    assert os.access(unarchived / "code" / "main.py", os.X_OK)


def test_new_zip_replaces_the_unpacked_folder(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    uri = {"Uri": "s3://b/code.zip", "Unarchive": "ZIP"}
    _store(tmp_path, _recipe(folder, {"code.zip": _zip(old_py="1")}, uri), folder)
    _, unarchived = _store(tmp_path, _recipe(folder, {"code.zip": _zip(new_py="1")}, uri), folder)
    assert [path.name for path in (unarchived / "code").iterdir()] == ["new.py"]


def test_files_not_named_by_the_recipe_are_copied(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    into, _ = _store(tmp_path, _recipe(folder, {"hello.py": "print()", "sub/data.txt": "x"}), folder)
    assert (into / "hello.py").is_file() and (into / "sub" / "data.txt").is_file()


def test_file_is_executable_only_with_permission(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    recipe = _recipe(
        folder, {"one.sh": "", "two.sh": ""}, {"Uri": "s3://b/one.sh"}, {"Uri": "s3://b/two.sh", "Permission": {"Execute": "ALL"}}
    )
    into, _ = _store(tmp_path, recipe, folder)
    assert not (into / "one.sh").stat().st_mode & 0o111 and (into / "two.sh").stat().st_mode & 0o111 == 0o111


def test_file_uri_is_copied(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text("here")
    folder = RecipeFolder(tmp_path)
    into, _ = _store(tmp_path, _recipe(folder, {}, {"Uri": f"file://{tmp_path}/elsewhere.txt"}), folder)
    assert (into / "elsewhere.txt").read_text() == "here"


def test_missing_artifact_is_named(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    with pytest.raises(ArtifactError, match=r"a 1.0.0: artifact s3://b/code.zip not found; searched for code.zip in .*/a/1.0.0"):
        _store(tmp_path, _recipe(folder, {}, {"Uri": "s3://b/code.zip"}), folder)


def test_invalid_and_escaping_zips_are_rejected(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    uri = {"Uri": "s3://b/code.zip", "Unarchive": "ZIP"}
    with pytest.raises(ArtifactError, match="is not a valid zip"):
        _store(tmp_path, _recipe(folder, {"code.zip": "hello"}, uri), folder)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("../../evil", "x")
    with pytest.raises(ArtifactError, match="is outside of its folder"):
        _store(tmp_path, _recipe(folder, {"code.zip": buffer.getvalue()}, uri), folder)
    assert not (tmp_path / "evil").exists()


def test_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    (tmp_path / "secret").write_text("secret")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, target in (("link", str(tmp_path / "secret")), ("out", "../..")):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, 0o120777 << 16
            packed.writestr(link, target)
    recipe = _recipe(folder, {"code.zip": buffer.getvalue()}, {"Uri": "s3://b/code.zip", "Unarchive": "ZIP"})
    _store(tmp_path, recipe, folder)
    unpacked = [path for path in tmp_path.rglob("*") if path.name in ("link", "out")]
    assert len(unpacked) == 2 and not any(path.is_symlink() for path in unpacked)
    assert sorted(path.read_text() for path in unpacked) == sorted([str(tmp_path / "secret"), "../.."])
