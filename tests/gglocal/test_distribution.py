"""The distribution `gglocal`: its wheel works in an environment that has its two dependencies and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.gglocal.recipes import RecipeFolder

SOURCE = Path(__file__).resolve().parents[2] / "libs" / "gglocal"
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input"]


def run(*command: str | Path, cwd: Path) -> str:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder, folder / "source", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_every_package_and_data_file(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path for pattern in ("*.py", "*.c", "py.typed") for path in SOURCE.rglob(pattern)}
    assert held == {f"gglocal/{path.relative_to(SOURCE).as_posix()}" for path in files}


def test_root_project_does_not_package_gglocal() -> None:
    project = (SOURCE.parents[1] / "pyproject.toml").read_text()
    assert re.search(r'^include = \["edgeml", "edgeml\.\*", "edgeml_cli", "edgeml_cli\.\*"\]', project, re.MULTILINE)
    assert "gglocal.cli" not in project and "gglocal.api" not in project


def test_wheel_deploys_a_recipe_without_edgeml(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    run(programs / "python", *PIP, "install", wheel, cwd=tmp_path)
    listed = run(programs / "python", *PIP, "list", "--format", "freeze", cwd=tmp_path).lower()
    installed = {line.partition("==")[0] for line in listed.split()}
    assert installed - {"pip", "setuptools"} == {"gglocal", "paho-mqtt", "pyyaml"}
    search = "import importlib.util as u; print([name for name in ('edgeml', 'awsiot', 'pytest') if u.find_spec(name)])"
    assert run(programs / "python", "-I", "-c", search, cwd=tmp_path).strip() == "[]"

    assert "usage: gglocal" in run(programs / "gglocal", "--help", cwd=tmp_path)
    RecipeFolder(tmp_path).add("com.example.Hello", {"run": "echo hello from $AWS_IOT_THING_NAME"})
    options = ["--recipe-dir", "recipes", "--merge", "com.example.Hello=1.0.0", "--exit-when-finished", "--timeout", "60"]
    assert "[com.example.Hello] hello from gglocal" in run(programs / "gglocal", "run", *options, cwd=tmp_path)
