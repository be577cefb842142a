"""scripts/deploy --local: the build, on a gglocal that runs, directly or through greengrass-cli's place on a core device."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from suite.build import ROOT, Project
from suite.fleet.deploy import main
from tests.gglocal.recipes import Shelf

SERVE = {"run": "exec sleep 1000"}


@pytest.fixture(params=["gglocal", "greengrass-cli"])
def place(request, gglocal_factory, tmp_path):
    """A nucleus, what names it on the command line, and a build."""
    nucleus = gglocal_factory(profile="classic")
    root = nucleus.root.path
    if request.param == "gglocal":
        return nucleus, ["--gglocal", str(root)], Shelf(tmp_path / "build")
    command = tmp_path / "device" / "bin" / "greengrass-cli"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gglocal.cli "$@" --root {shlex.quote(str(root))}\n')
    command.chmod(0o755)
    return nucleus, ["--device-root", str(tmp_path / "device")], Shelf(tmp_path / "build")


@pytest.mark.skipif(os.geteuid() != 0, reason="greengrass-cli is called with sudo, which may ask for a password")
def test_the_build_is_deployed_configured_and_taken_back(place, tmp_path, capsys) -> None:
    nucleus, where, shelf = place
    shelf.add("a", SERVE, config={"x": 1})
    shelf.add("a", {"run": "exit 7"}, "1.1.0", config={"x": 1})
    shelf.add("b", SERVE)
    local = ["--local", *where, "--build", str(tmp_path / "build")]
    config = tmp_path / "config.yaml"
    config.write_text("a:\n  merge:\n    x: 2\n")
    assert main([*local, "--component", "a=1.0.0", "--component", "b=1.0.0", "--config", str(config)]) == 0
    assert "SUCCESSFUL" in capsys.readouterr().out
    assert nucleus.component("a").configuration == {"x": 2} and nucleus.component("b").state == "RUNNING"
    assert main([*local, "--component", "a=1.1.0"]) == 1
    said = capsys.readouterr().out
    assert "FAILED_ROLLBACK_COMPLETE" in said and "a is BROKEN" in said
    assert nucleus.component("a").version == "1.0.0"
    assert main([*local, "--remove", "b"]) == 0
    assert [each.name for each in nucleus.components()] == ["a"]
    assert main([*local, "--component", "absent=1.0.0"]) == 1
    assert "there is no recipe of absent" in capsys.readouterr().out


def test_what_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = ["--local", "--component", "a=1.0.0", "--device-root", str(tmp_path / "device"), "--build", str(tmp_path / "build")]
    for before, sentence in (
        (lambda: None, "has no recipes; make it with scripts/build"),
        (lambda: Shelf(tmp_path / "build"), "there is neither"),
        (lambda: (tmp_path / "root").mkdir(), "the nucleus refuses: no nucleus runs in"),
    ):
        before()
        assert main([*local, "--gglocal", str(tmp_path / "root")]) == 1
        said = capsys.readouterr().err
        assert sentence in said and said.count("\n") == 1


def test_a_configuration_that_a_component_would_refuse_is_told(gglocal_factory, tmp_path, capsys) -> None:
    nucleus, shelf = gglocal_factory(profile="classic"), Shelf(tmp_path / "build")
    version, name = Project.read(ROOT).version, "com.edgeml.Inference"
    made = shelf.add(name, SERVE, version, config={"bundle": "/b"})
    made.rename(made.with_suffix(".yaml"))  # JSON is YAML
    config = tmp_path / "config.yaml"
    local = ["--local", "--gglocal", str(nucleus.root.path), "--build", str(tmp_path / "build"), "--config", str(config)]
    for value, told in (("thraeds", True), ("threads", False)):
        config.write_text(f"{name}:\n  merge:\n    {value}: 1\n")
        assert main([*local, "--component", f"{name}={version}"]) == 0
        said = capsys.readouterr().out
        assert ("`thraeds` is an unknown option" in said and "the component refuses this" in said) is told
