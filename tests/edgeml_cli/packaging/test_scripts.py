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


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    """A checkout with `scripts/test` alone: its Python prints its arguments, and fails for the module in the variable FAIL."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "test", tmp_path / "scripts")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$*"\n[ "$2 $3" = "$FAIL" ] || [ "$2" = "$FAIL" ] && exit 3\nexit 0\n')
    (tmp_path / "scripts" / "env").write_text(f"#!/bin/sh\necho {python}\n")
    for path in (python, tmp_path / "scripts" / "env"):
        path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        ("", ["-m ruff check", "-m ruff format --check", "-m mypy", "-m pytest -n 3"]),
        ("fast -k x", ["-m ruff check", "-m ruff format --check", "-m pytest -m not training and not slow"]),
        ("coverage", ["-m pytest -m not training and not slow"]),
        ("tests/gglocal -k pub", ["-m pytest tests/gglocal -k pub"]),
    ],
)
def test_checks_that_a_kind_of_test_run_makes(checks: Path, arguments: str, ran: list[str]) -> None:
    done = subprocess.run([checks / "scripts" / "test", *arguments.split()], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("-m ")]
    assert len(lines) == len(ran) and all(line.startswith(start) for line, start in zip(lines, ran, strict=True))


@pytest.mark.parametrize(("fails", "code"), [("ruff check", 1), ("ruff format", 1), ("mypy", 1), ("pytest", 3)])
def test_run_of_the_tests_fails_if_one_check_fails_and_makes_all_others(checks: Path, fails: str, code: int) -> None:
    done = subprocess.run([checks / "scripts" / "test"], env={**os.environ, "FAIL": fails}, capture_output=True, text=True, check=False)
    assert done.returncode == code and done.stdout.count("-m ") == 4
    assert ("ruff or mypy failed" in done.stderr) == (code == 1)
