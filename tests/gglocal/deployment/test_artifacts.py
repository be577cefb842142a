from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from gglocal.deployment import artifacts
from gglocal.errors import ArtifactError
from gglocal.recipe.parser import Recipe, load_recipe
from tests.gglocal.recipes import Shelf


def _zip(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


def _store(tmp_path: Path, recipe: Recipe, shelf: Shelf) -> tuple[Path, Path]:
    into, unarchived = tmp_path / "into", tmp_path / "unarchived"
    artifacts.store(recipe, recipe.manifests[0], [shelf.artifacts], into, unarchived)
    return into, unarchived


def _recipe(shelf: Shelf, files: dict[str, str | bytes], *artifact: dict[str, object]) -> Recipe:
    return load_recipe(shelf.add("a", {"run": "true"}, files=files, manifest={"Artifacts": list(artifact)}))


def test_a_zip_goes_to_a_folder_of_its_name(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    uri = {"Uri": "s3://BUCKET_NAME/a/1.0.0/code.zip", "Unarchive": "ZIP", "Permission": {"Execute": "OWNER"}}
    recipe = _recipe(shelf, {"code.zip": _zip(main_py="1", pkg__x_py="2")}, uri)
    _, unarchived = _store(tmp_path, recipe, shelf)
    assert (unarchived / "code" / "main.py").read_text() == "1"
    assert (unarchived / "code" / "pkg" / "x.py").read_text() == "2"
    assert os.access(unarchived / "code" / "main.py", os.X_OK)


def test_another_zip_replaces_what_was_unpacked(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    uri = {"Uri": "s3://b/code.zip", "Unarchive": "ZIP"}
    _store(tmp_path, _recipe(shelf, {"code.zip": _zip(old_py="1")}, uri), shelf)
    _, unarchived = _store(tmp_path, _recipe(shelf, {"code.zip": _zip(new_py="1")}, uri), shelf)
    assert [path.name for path in (unarchived / "code").iterdir()] == ["new.py"]


def test_what_the_recipe_does_not_name_is_copied_too(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    into, _ = _store(tmp_path, _recipe(shelf, {"hello.py": "print()", "sub/data.txt": "x"}), shelf)
    assert (into / "hello.py").is_file() and (into / "sub" / "data.txt").is_file()


def test_a_file_is_executable_only_when_the_recipe_says_so(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    recipe = _recipe(
        shelf, {"one.sh": "", "two.sh": ""}, {"Uri": "s3://b/one.sh"}, {"Uri": "s3://b/two.sh", "Permission": {"Execute": "ALL"}}
    )
    into, _ = _store(tmp_path, recipe, shelf)
    assert not (into / "one.sh").stat().st_mode & 0o111 and (into / "two.sh").stat().st_mode & 0o111 == 0o111


def test_a_file_uri(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text("here")
    shelf = Shelf(tmp_path)
    into, _ = _store(tmp_path, _recipe(shelf, {}, {"Uri": f"file://{tmp_path}/elsewhere.txt"}), shelf)
    assert (into / "elsewhere.txt").read_text() == "here"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with pytest.raises(ArtifactError, match=r"a 1.0.0: artifact s3://b/code.zip not found; searched for code.zip in .*/a/1.0.0"):
        _store(tmp_path, _recipe(shelf, {}, {"Uri": "s3://b/code.zip"}), shelf)


def test_no_zip_and_a_zip_that_climbs_out(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    uri = {"Uri": "s3://b/code.zip", "Unarchive": "ZIP"}
    with pytest.raises(ArtifactError, match="is not a valid zip"):
        _store(tmp_path, _recipe(shelf, {"code.zip": "hello"}, uri), shelf)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("../../evil", "x")
    with pytest.raises(ArtifactError, match="is outside of its folder"):
        _store(tmp_path, _recipe(shelf, {"code.zip": buffer.getvalue()}, uri), shelf)
    assert not (tmp_path / "evil").exists()


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    (tmp_path / "secret").write_text("secret")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, target in (("link", str(tmp_path / "secret")), ("out", "../..")):
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, 0o120777 << 16
            packed.writestr(link, target)
    recipe = _recipe(shelf, {"code.zip": buffer.getvalue()}, {"Uri": "s3://b/code.zip", "Unarchive": "ZIP"})
    _store(tmp_path, recipe, shelf)
    unpacked = [path for path in tmp_path.rglob("*") if path.name in ("link", "out")]
    assert len(unpacked) == 2 and not any(path.is_symlink() for path in unpacked)
    assert sorted(path.read_text() for path in unpacked) == sorted([str(tmp_path / "secret"), "../.."])
