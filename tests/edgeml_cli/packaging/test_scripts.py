"""The scripts on a machine that lacks something: one sentence each."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeml_cli.build.package import ROOT

SCRIPTS = {"build", "demo", "edgeml", "env", "test"}
"""For a fresh machine, before anything is installed; everything else is a command of `edgeml`."""


def env(python: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "env"], env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """A stand-in for Python 3.9: it answers the questions of the scripts as that version does."""
    path = tmp_path / "python3"
    path.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit\nexit 1\n')
    path.chmod(0o755)
    return path


def test_no_python_is_one_sentence() -> None:
    ran = env("python-that-is-not-there")
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == (
        "env: python-that-is-not-there is not installed; install Python 3.10 or later, such as: apt install python3 python3-venv\n"
    )


def test_an_old_python_is_one_sentence(interpreter: Path) -> None:
    ran = env(interpreter)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"env: {interpreter} is Python 3.9.2, wanted is 3.10 or later; name a newer one, such as: PYTHON=")
    assert ran.stderr.count("\n") == 1


def test_edgeml_without_a_recent_python_names_the_remedy(tmp_path: Path, interpreter: Path) -> None:
    """In a clone without an environment, whose own Python would be found first."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for python, sentence in (("python-that-is-not-there", "is not installed"), (interpreter, "is Python 3.9.2")):
        command, variables = [tmp_path / "scripts" / "edgeml", "dev", "version"], {**os.environ, "PYTHON": str(python)}
        ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
        assert ran.stderr.startswith(f"env: {python} {sentence}")


def test_scripts_are_only_those_of_a_fresh_machine() -> None:
    assert {path.name for path in (ROOT / "scripts").iterdir()} == SCRIPTS


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_every_script_is_executable_and_describes_itself(name: str) -> None:
    path = ROOT / "scripts" / name
    assert os.access(path, os.X_OK)
    first, second = path.read_text().splitlines()[:2]
    assert first == "#!/usr/bin/env bash"
    assert second.startswith("# ")


def test_the_build_names_its_options() -> None:
    shown = subprocess.run([ROOT / "scripts" / "build", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--bucket" in shown and "--thing-group-arn" in shown
