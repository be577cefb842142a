"""The environment of a verb: chosen, created at first use, and continued in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeml_cli import environments
from edgeml_cli.build.package import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def made(root: Path, python: str, *extras: str) -> Path:
    """An environment as `scripts/env` leaves it."""
    venv = root / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / environments.STAMP).write_text("\n".join(environments.stamp(root, extras, python)) + "\n")
    return venv


def test_a_plan_is_new_current_or_an_update(checkout: Path) -> None:
    venv = checkout / ".venv"
    assert environments.plan(checkout, venv, ["cloud"], "3.11")[0] == "new"
    made(checkout, "3.11", "test", "cloud")
    assert environments.plan(checkout, venv, ["cloud"], "3.11")[0] == "current"
    assert environments.plan(checkout, venv, [], "3.11")[0] == "current"
    how, lines = environments.plan(checkout, venv, ["lock"], "3.11")
    assert (how, lines[3:]) == ("update", ["cloud", "lock", "test"])
    assert environments.plan(checkout, venv, ["cloud"], "3.12")[0] == "new"
    (checkout / "libs" / "local").mkdir(parents=True)
    (checkout / "libs" / "local" / "pyproject.toml").write_text('[project]\ndependencies = ["some_thing>=2"]\n')
    assert environments.plan(checkout, venv, ["cloud"], "3.11")[0] == "update", "a library is a distribution of its own"
    assert environments.requirements([], checkout) - environments.requirements([]) == {"some-thing"}


def test_requirements_are_those_of_pyproject() -> None:
    assert {"awsiotsdk", "numpy", "rich"} <= environments.requirements([])
    assert environments.requirements(["prepare"]) - environments.requirements([]) == {"boto3", "pyarrow"}
    assert environments.missing(["report"]) == set()


def test_an_interpreter_suits_by_its_stamp_or_by_its_packages(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = made(checkout, "3.11", "train")
    monkeypatch.setattr(sys, "prefix", str(venv))
    assert environments.suits(["train"], checkout)
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("\n")
    assert not environments.suits([], checkout), "its stamp is older than pyproject.toml"
    (venv / environments.STAMP).unlink()
    assert environments.suits(["report"], checkout), "the packages are there"
    monkeypatch.setattr(environments, "missing", lambda extras, root: {"tensorflow"})
    assert not environments.suits(["train"], checkout)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose `scripts/env` reports its arguments and prints this interpreter."""
    root = tmp_path / "clone"
    shutil.copytree(ROOT / "libs" / "edgeml_cli", root / "libs" / "edgeml_cli", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "edgeml", root / "scripts")
    for name in ("gdk-config.json", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    script = root / "scripts" / "env"
    script.write_text(f'#!/bin/sh\necho "env: $*" >&2\n[ -z "$FAIL" ] || exit 1\necho "{sys.executable}"\n')
    script.chmod(0o755)
    return root


def run(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """With a Python that has no packages at all."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    bare = shutil.which("python3", path=os.pathsep.join(p for p in os.defpath.split(os.pathsep))) or sys.executable
    return subprocess.run(
        [root / "scripts" / "edgeml", *words],
        env={**environ, "PYTHON": bare, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_first_use_creates_the_environment_and_continues_there(clone: Path) -> None:
    (clone / "libs" / "edgeml_cli" / "cloud" / "stack.py").write_text(
        "import argparse, boto3, sys\n"
        "def parser():\n    return argparse.ArgumentParser()\n"
        "def main(arguments=None):\n    print(boto3.__name__, *arguments)\n    return 3\n"
    )
    ran = run(clone, "cloud", "destroy", "--stack", "x y")
    assert (ran.returncode, ran.stdout) == (3, "boto3 destroy --stack x y\n"), ran.stderr
    assert ran.stderr == f"env: --venv {clone / '.venv'} cloud\n"


def test_an_environment_that_cannot_be_made_is_one_sentence(clone: Path) -> None:
    ran = run(clone, "model", "train", FAIL="1")
    assert (ran.returncode, ran.stdout) == (1, "")
    env, sentence = ran.stderr.splitlines()
    assert env == f"env: --venv {clone / '.venv-train'} train"
    assert sentence == "edgeml model train: the environment .venv-train could not be made; see above, then run this again"


def test_a_verb_of_the_standard_library_makes_none(clone: Path) -> None:
    (clone / "libs" / "edgeml").mkdir()
    ran = run(clone, "dev", "version")
    assert (ran.returncode, ran.stderr) == (0, "") and ran.stdout.strip()


def test_package_outside_of_a_checkout_is_reported(tmp_path: Path) -> None:
    with pytest.raises(environments.EnvironmentFailed, match="is not a checkout of edgeml; clone"):
        environments.make(".venv", [], tmp_path)
