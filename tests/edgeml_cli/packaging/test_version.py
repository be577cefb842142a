"""`edgeml dev version` sets the version in every file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeml_cli.build import package
from edgeml_cli.build.set_version import VERSION_PATTERNS, main, read_versions, set_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a checkout that name the version."""
    for name in VERSION_PATTERNS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package.ROOT / name, tmp_path / name)
    return tmp_path


def test_version_is_set_everywhere_and_nothing_else_changes(root: Path) -> None:
    before = {name: (root / name).read_text() for name in VERSION_PATTERNS}
    (old,) = read_versions(root)["gdk-config.json"]
    assert set_version(root, "10.20.30") == list(VERSION_PATTERNS)
    assert read_versions(root) == dict.fromkeys(VERSION_PATTERNS, {"10.20.30"})
    assert package.Project.read(root).version == "10.20.30"
    for name, text in before.items():
        assert (root / name).read_text().replace("10.20.30", old) == text
    assert set_version(root, "10.20.30") == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("1.2", "'1.2' is not a version; expected major.minor.patch, such as 1.2.3"),
        ("NEXT_PATCH", "is not a version"),
        ('1.2.3"', "is not a version"),
    ],
)
def test_invalid_version_changes_nothing(root: Path, wrong: str, sentence: str) -> None:
    before = read_versions(root)
    with pytest.raises(package.BuildError, match=sentence):
        set_version(root, wrong)
    assert read_versions(root) == before


def test_file_without_a_version_prevents_any_change(root: Path) -> None:
    (root / "README.md").write_text("nothing")
    with pytest.raises(
        package.BuildError, match="README.md does not contain the version where it is expected; restore the file; nothing was changed"
    ):
        set_version(root, "10.20.30")
    assert "10.20.30" not in (root / "gdk-config.json").read_text()


def test_build_rejects_a_library_of_another_version(root: Path) -> None:
    config = root / "gdk-config.json"
    config.write_text(config.read_text().replace(package.Project.read(root).version, "10.20.30"))
    with pytest.raises(
        package.BuildError, match=r"does not have the version 10\.20\.30 of gdk-config.json; run: edgeml dev version 10\.20\.30"
    ):
        package.build(root, root / "out")
    assert not (root / "out").exists()


def test_command_prints_the_version(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == f"{version}\n"
    assert main(["9"]) == 1
    assert capsys.readouterr().err == "edgeml dev version: '9' is not a version; expected major.minor.patch, such as 1.2.3\n"
