"""edgeml/install.py, the install step of every component."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeml import install as step
from suite.build import ROOT

SCRIPT = ROOT / "libs" / "edgeml" / "install.py"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of `tiny` 1.0."""
    folder = tmp_path_factory.mktemp("wheels")
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\n")
    return folder


@pytest.fixture
def requirements(tmp_path: Path, wheels: Path) -> Path:
    """Wants `tiny`, which no package index is asked for."""
    path = tmp_path / "requirements.txt"
    path.write_text(f"--no-index\n--find-links {wheels}\ntiny==1.0\n")
    return path


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """Requirements of another component: none."""
    path = tmp_path / "nothing.txt"
    path.write_text("# nothing\n")
    return path


@pytest.fixture(scope="module")
def empty_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that the step made for empty requirements, through a link to an empty folder."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "nothing.txt").write_text("# nothing\n")
    (folder / "target").mkdir()
    (folder / "venv").symlink_to(folder / "target", target_is_directory=True)
    assert step.install([folder / "nothing.txt"], folder / "venv") is True
    return folder / "venv"


@pytest.fixture
def venv(empty_venv: Path, tmp_path: Path) -> Path:
    """A copy of it, of this test's own."""
    return Path(shutil.copytree(empty_venv.resolve(), tmp_path / "venv", symlinks=True))


def has_tiny(venv: Path) -> bool:
    return subprocess.run([venv / "bin" / "python", "-c", "import tiny"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("machine", ["armv7l", "aarch64"])  # the latter: a 64-bit kernel under a 32-bit system
def test_a_32_bit_python_is_one_sentence(machine: str) -> None:
    with pytest.raises(step.InstallError, match=f"a 32-bit Python on {machine}, for which there are no wheels .*; install a 64-bit"):
        step.check_machine(2**31 - 1, machine)
    step.check_machine(sys.maxsize, machine)


def test_a_link_to_a_folder_serves_as_environment(empty_venv: Path) -> None:
    assert empty_venv.is_symlink()
    assert (empty_venv.resolve() / "bin" / "python").exists()
    assert not has_tiny(empty_venv)


def test_what_the_environment_has_is_not_installed_again(venv: Path, nothing: Path) -> None:
    assert step.install([nothing], venv) is False


def test_other_requirements_are_installed_into_the_environment_that_is_there(requirements: Path, venv: Path) -> None:
    (venv / "kept").touch()
    assert step.install([requirements], venv) is True
    assert has_tiny(venv)
    assert (venv / "kept").exists()
    assert step.install([requirements], venv) is False


def test_an_environment_that_another_python_made_is_made_anew(nothing: Path, venv: Path) -> None:
    (venv / "left over").touch()
    (venv / step.STAMP).write_text((venv / step.STAMP).read_text().replace("cpython-3.", "cpython-2."))
    assert step.install([nothing], venv) is True
    assert not (venv / "left over").exists()


def test_components_may_share_an_environment(requirements: Path, nothing: Path, venv: Path) -> None:
    assert step.install([requirements, nothing], venv) is True
    assert step.install([requirements], venv) is False
    assert step.install([nothing], venv) is False


def test_a_failure_is_one_sentence_and_the_next_time_begins_anew(requirements: Path, venv: Path) -> None:
    good = requirements.read_text()
    requirements.write_text(good + "absent==9.9\n")
    command = [sys.executable, SCRIPT, "--requirements", requirements, "--venv", venv]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ERROR edgeml.install: pip could not install what {requirements} names")
    requirements.write_text(good)
    assert step.install([requirements], venv) is True


def test_missing_requirements_are_named(tmp_path: Path) -> None:
    with pytest.raises(step.InstallError, match=r"absent\.txt cannot be read"):
        step.install([tmp_path / "absent.txt"], tmp_path / "venv")


def test_an_old_python_is_told_so() -> None:
    with pytest.raises(step.InstallError, match=r"python3 is 3\.9, wanted is 3\.10 or later"):
        step.check_python((3, 9))


def test_a_python_without_venv_is_told_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find(name))
    with pytest.raises(step.InstallError, match="apt install python3-venv"):
        step.check_python((3, 11))


def test_an_old_interpreter_itself_says_one_sentence(requirements: Path, tmp_path: Path) -> None:
    old = [python for python in (shutil.which(f"python3.{minor}") for minor in range(6, 10)) if python and works(python)]
    if not old:
        pytest.skip("there is no python3.6 to python3.9 on the PATH")
    for python in old:
        command = [python, SCRIPT, "--requirements", requirements, "--venv", tmp_path / "venv"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 1
        assert re.fullmatch(r"ERROR edgeml\.install: python3 is 3\.\d, wanted is 3\.10 or later; install a newer Python\n", ran.stderr)


def works(python: str) -> bool:
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def test_no_module_beside_the_step_hides_one_of_the_standard_library() -> None:
    # `python3 edgeml/install.py` puts the library's folder first on the path.
    assert not {path.stem for path in SCRIPT.parent.iterdir()} & sys.stdlib_module_names
