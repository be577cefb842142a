"""Publishing with gdk: with the real one if it is installed, and with fakes that are incompatible or fail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeml_cli.fleet import build_output, gdk, publish
from tests.edgeml_cli.fleet.conftest import BUCKET, REGION, Cloud
from tests.edgeml_cli.packaging.test_gdk import gdk as installed_gdk

Said = Callable[[], str]
real_gdk = installed_gdk


def on_path(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a fake gdk on the PATH."""
    path = folder / "gdk"
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("version", ["1.5.0", "1.6.1", "1.7.0", "2.0.0", "nightly"])
def test_incompatible_gdk_is_rejected_before_publishing(
    cloud: Cloud, built: Path, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    on_path(tmp_path, f"#!/bin/sh\necho gdk {version}\n", monkeypatch)
    assert publish.main(["--from", str(built)]) == 1
    assert f"gdk is gdk {version}, but the project needs gdk 1.6.2; install that version, or use --without-gdk" in said()
    assert cloud.objects() == {} and cloud.greengrass.calls == []


@pytest.mark.parametrize(("output", "compatible"), [("gdk 1.6.2", True), ("gdk 1.6.9", True), ("gdk 1.6.1", False), ("", False)])
def test_compatible_versions_of_gdk(output: str, compatible: bool) -> None:
    assert gdk.is_compatible(output, "1.6.2") is compatible


def test_failure_of_gdk_is_reported_with_its_error(
    cloud: Cloud, built: Path, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(tmp_path, '#!/bin/sh\n[ "$1" = --version ] && echo gdk 1.6.2 && exit\necho "ERROR - the disk is full"\nexit 1\n', monkeypatch)
    assert publish.main(["--from", str(built)]) == 1
    assert "gdk could not publish com.edgeml.AlertDispatcher 0.1.0: ERROR - the disk is full; correct this, or use --without-gdk" in said()
    assert not cloud.greengrass.components


def test_staged_folder_is_a_gdk_project(built: Path, tmp_path: Path, version: str) -> None:
    item = next(each for each in build_output.read(built, BUCKET) if each.name == "com.edgeml.Inference")
    place = gdk.stage_project(item, tmp_path / "project", "Ada", "edgeml-components", REGION, "1.6.2")
    config = json.loads((place / "gdk-config.json").read_text())["component"]
    assert {name: (each["author"], each["version"]) for name, each in config.items()} == {item.name: ("Ada", version)}
    assert (place / "recipe.yaml").is_file()
    staged = place / "staged" / "artifacts" / item.name / version
    assert {path.name for path in staged.iterdir()} == set(item.files)


def test_gdk_and_boto3_publish_the_same_content(
    real_gdk: str, cloud: Cloud, built: Path, version: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{Path(real_gdk).parent}:{os.environ['PATH']}")
    assert publish.main(["--from", str(built)]) == 0
    assert capsys.readouterr().out.count("published with gdk") == 4
    uploaded = set(cloud.objects())
    assert publish.main(["--from", str(built), "--without-gdk"]) == 0
    assert capsys.readouterr().out.count("already published with identical content") == 4
    assert set(cloud.objects()) == uploaded
