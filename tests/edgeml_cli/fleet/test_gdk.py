"""Publishing with gdk: the real one where it is installed, and what is said of one that does not fit."""

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
    """Stands for a gdk: answers `--version` as one does."""
    path = folder / "gdk"
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("version", ["1.5.0", "1.6.1", "1.7.0", "2.0.0", "nightly"])
def test_gdk_of_another_version_is_one_sentence_and_nothing_is_published(
    cloud: Cloud, built: Path, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    on_path(tmp_path, f"#!/bin/sh\necho gdk {version}\n", monkeypatch)
    assert publish.main(["--from", str(built)]) == 1
    assert f"gdk is gdk {version}, and the project is for gdk 1.6.2; install that one, or give --without-gdk" in said()
    assert cloud.objects() == {} and cloud.standin.calls == []


@pytest.mark.parametrize(("told", "fits"), [("gdk 1.6.2", True), ("gdk 1.6.9", True), ("gdk 1.6.1", False), ("", False)])
def test_which_gdk_fits(told: str, fits: bool) -> None:
    assert gdk.fits(told, "1.6.2") is fits


def test_a_gdk_that_fails_is_one_sentence_with_its_complaint(
    cloud: Cloud, built: Path, tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(tmp_path, '#!/bin/sh\n[ "$1" = --version ] && echo gdk 1.6.2 && exit\necho "ERROR - the disk is full"\nexit 1\n', monkeypatch)
    assert publish.main(["--from", str(built)]) == 1
    assert "gdk could not publish com.edgeml.AlertDispatcher 0.1.0: ERROR - the disk is full; mend that, or give --without-gdk" in said()
    assert not cloud.standin.components


def test_what_is_staged_is_a_gdk_project(built: Path, tmp_path: Path, version: str) -> None:
    item = next(each for each in build_output.read(built, BUCKET) if each.name == "com.edgeml.Inference")
    place = gdk.stage(item, tmp_path / "project", "Ada", "edgeml-components", REGION, "1.6.2")
    config = json.loads((place / "gdk-config.json").read_text())["component"]
    assert {name: (each["author"], each["version"]) for name, each in config.items()} == {item.name: ("Ada", version)}
    assert (place / "recipe.yaml").is_file()
    staged = place / "staged" / "artifacts" / item.name / version
    assert {path.name for path in staged.iterdir()} == set(item.files)


def test_gdk_publishes_what_boto3_publishes(
    real_gdk: str, cloud: Cloud, built: Path, version: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", f"{Path(real_gdk).parent}:{os.environ['PATH']}")
    assert publish.main(["--from", str(built)]) == 0
    assert capsys.readouterr().out.count("published with gdk") == 4
    uploaded = set(cloud.objects())
    assert publish.main(["--from", str(built), "--without-gdk"]) == 0
    assert capsys.readouterr().out.count("published already, with the same bytes") == 4
    assert set(cloud.objects()) == uploaded
