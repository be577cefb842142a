"""edgeml/runtime/install_venv.py, the install step of every component."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgeml.runtime import install_venv as step
from edgeml.runtime.subprocess_env import CREDENTIALS
from edgeml_cli.build.package import ROOT

SCRIPT = ROOT / "libs" / "edgeml" / "runtime" / "install_venv.py"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with the wheel of `tiny` 1.0."""
    folder = tmp_path / "found"
    folder.mkdir()
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
    """An environment that the step made for empty requirements."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "nothing.txt").write_text("# nothing\n")
    assert step.install([folder / "nothing.txt"], folder / "venv") is True
    return folder / "venv"


@pytest.fixture
def quick(empty_venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `python -m venv` would make in seconds is copied; pip is run as ever."""
    call = subprocess.call

    def copied(command: list[str], **options: Any) -> int:
        if command[1:3] != ["-m", "venv"]:
            return call(command, **options)
        shutil.copytree(empty_venv.resolve(), command[3], symlinks=True)
        return 0

    monkeypatch.setattr(step.subprocess, "call", copied)


@pytest.fixture
def venv(empty_venv: Path, tmp_path: Path, quick: None) -> Path:
    """A copy of it, of this test's own."""
    return Path(shutil.copytree(empty_venv.resolve(), tmp_path / "venv", symlinks=True))


def environments(venv: Path) -> set[Path]:
    """Those that are kept behind a link."""
    return {path for path in venv.with_name(venv.name + step.STORE).resolve().iterdir() if path.is_dir()}


def has_tiny(venv: Path) -> bool:
    return subprocess.run([venv / "bin" / "python", "-c", "import tiny"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("machine", ["armv7l", "aarch64"])  # the latter: a 64-bit kernel under a 32-bit system
def test_32_bit_python_is_rejected_in_one_sentence(machine: str) -> None:
    with pytest.raises(
        step.InstallError, match=f"a 32-bit Python on {machine}, for which a component's packages have no wheels; install a 64-bit"
    ):
        step.check_machine(2**31 - 1, machine)
    step.check_machine(sys.maxsize, machine)


def test_environment_is_a_link_to_the_installed_one(empty_venv: Path) -> None:
    assert empty_venv.is_symlink() and environments(empty_venv) == {empty_venv.resolve()}
    assert (empty_venv / "bin" / "python").exists() and not has_tiny(empty_venv)
    ran = subprocess.run([empty_venv / "bin" / "pip", "--version"], capture_output=True, text=True, check=True)  # its scripts work
    assert str(empty_venv.resolve()) in ran.stdout


def test_link_to_an_external_environment_is_used_unchanged(venv: Path, requirements: Path, nothing: Path) -> None:
    link = venv.with_name("link")
    link.symlink_to(venv, target_is_directory=True)
    assert step.install([nothing], link) is False
    assert step.install([requirements], link) is True
    assert has_tiny(link) and not has_tiny(venv) and (venv / step.STAMP).exists()


def test_installed_packages_are_not_installed_again(venv: Path, nothing: Path) -> None:
    assert step.install([nothing], venv) is False


def test_changed_requirements_get_a_new_environment_and_the_previous_is_kept(requirements: Path, nothing: Path, venv: Path) -> None:
    before = venv.resolve()
    assert step.install([requirements], venv) is True
    assert has_tiny(venv) and venv.resolve() != before
    assert step.install([requirements], venv) is False
    assert step.install([nothing], venv) is True and not has_tiny(venv)
    assert len(environments(venv)) == 2


def test_rollback_needs_no_package_index(requirements: Path, nothing: Path, wheels: Path, venv: Path) -> None:
    assert step.install([requirements], venv) is True
    assert step.install([nothing], venv) is True
    shutil.rmtree(wheels)
    assert step.install([requirements], venv) is True
    assert has_tiny(venv)


def test_at_most_two_environments_are_kept(requirements: Path, venv: Path) -> None:
    assert step.install([requirements], venv) is True  # moves what was a folder of its own
    assert len(environments(venv)) == 2
    text = requirements.read_text()
    for comment in ("# one", "# two"):
        requirements.write_text(f"{text}{comment}\n")
        before = venv.resolve()
        assert step.install([requirements], venv) is True
        assert environments(venv) == {before, venv.resolve()}


def test_environment_of_another_python_is_replaced(nothing: Path, venv: Path) -> None:
    (venv / "left over").touch()
    (venv / step.STAMP).write_text((venv / step.STAMP).read_text().replace("cpython-3.", "cpython-2."))
    assert step.install([nothing], venv) is True
    assert not (venv / "left over").exists()


def test_environment_without_its_python_is_recreated(nothing: Path, venv: Path) -> None:
    assert step.install([nothing], venv) is False
    (venv / "bin" / "python").unlink()
    assert step.install([nothing], venv) is True and step.install([nothing], venv) is False


KILL = """
import os, pathlib, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
import install_venv as step

def deadly(place, name):
    real = getattr(place, name)
    def call(*args, **kwargs):
        counted.append(name)
        if len(counted) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(place, name, call)

def quick(command, **options):
    if command[1:3] != ["-m", "venv"]:
        return called(command, **options)
    shutil.copytree(sys.argv[5], command[3], symlinks=True)
    return 0

import shutil
counted, called, step.subprocess.call = [], subprocess.call, quick
for place, name in ((step.subprocess, "call"), (step.os, "sync"), (pathlib.Path, "write_text"), (pathlib.Path, "symlink_to"),
                    (pathlib.Path, "replace"), (step.shutil, "rmtree")):
    deadly(place, name)
step.install([pathlib.Path(sys.argv[3])], pathlib.Path(sys.argv[4]))
"""


def test_kill_at_any_step_leaves_a_working_environment(requirements: Path, empty_venv: Path, venv: Path, tmp_path: Path) -> None:
    assert step.install([requirements], venv) is True
    requirements.write_text(f"{requirements.read_text()}# another version\n")
    older = tmp_path / "older.txt"
    older.write_text(requirements.read_text().replace("# another version\n", ""))
    for number in range(1, 100):
        ran = subprocess.run(
            [sys.executable, "-c", KILL, SCRIPT.parent, str(number), requirements, venv, empty_venv.resolve()],
            capture_output=True,
            text=True,
            check=False,
        )
        assert has_tiny(venv), f"killed before effect {number}"
        assert step.install([older], venv) in (False, True), "going back after a kill"
        assert has_tiny(venv)
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert number > 6
    assert step.install([requirements], venv) is True and has_tiny(venv)
    assert len(environments(venv)) == 2 and not list(venv.parent.glob("*.new"))


@pytest.mark.parametrize("trouble", ["index out of reach", "pin that is not there", "no room"])
def test_failed_upgrade_leaves_a_working_environment(requirements: Path, venv: Path, trouble: str) -> None:
    assert step.install([requirements], venv) is True
    before, text = venv.resolve(), requirements.read_text()
    lines = {"index out of reach": "--index-url http://127.0.0.1:9/simple\ntiny==1.1\n", "pin that is not there": f"{text}tiny==1.1\n"}
    requirements.write_text(lines.get(trouble, f"{text}# more\n"))
    limit = "" if trouble != "no room" else "ulimit -f 64; "  # files of at most 64 KiB: writes fail, as on a full disk
    command = f"{limit}exec {shlex.join(map(str, [sys.executable, SCRIPT, '--requirements', requirements, '--venv', venv]))}"
    ran = subprocess.run(["bash", "-c", command], env=os.environ | {"PIP_RETRIES": "0"}, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("ERROR edgeml.runtime.install_venv: ") and last.endswith("the previous environment is kept")
    assert venv.resolve() == before and has_tiny(venv) and environments(venv) == {before}
    # The rollback runs the older version's step.
    requirements.write_text(text)
    assert step.install([requirements], venv) is False


def test_concurrent_installs_take_turns(requirements: Path, venv: Path) -> None:
    command = [sys.executable, SCRIPT, "--requirements", requirements, "--venv", venv]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [each.communicate(timeout=120)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0], outputs
    assert has_tiny(venv) and sum("installing the packages of" in text for text in outputs) == 1


def test_components_may_share_an_environment(requirements: Path, nothing: Path, venv: Path) -> None:
    assert step.install([requirements, nothing], venv) is True and has_tiny(venv)
    assert step.install([requirements], venv) is False
    assert step.install([nothing], venv) is False


def test_failure_is_one_sentence_and_the_next_install_starts_over(requirements: Path, venv: Path) -> None:
    good = requirements.read_text()
    requirements.write_text(good + "absent==9.9\n")
    command = [sys.executable, SCRIPT, "--requirements", requirements, "--venv", venv]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ERROR edgeml.runtime.install_venv: pip could not install the packages of {requirements} (exit code")
    requirements.write_text(good)
    assert step.install([requirements], venv) is True


def test_missing_requirements_are_reported(tmp_path: Path) -> None:
    with pytest.raises(step.InstallError, match=r"absent\.txt cannot be read"):
        step.install([tmp_path / "absent.txt"], tmp_path / "venv")


def test_old_python_is_reported() -> None:
    with pytest.raises(step.InstallError, match=r"python3 is 3\.9, expected 3\.10 or later"):
        step.check_python((3, 9))


def test_python_without_venv_is_reported_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else find(name))
    with pytest.raises(step.InstallError, match="apt install python3-venv"):
        step.check_python((3, 11))


def test_old_interpreter_reports_one_sentence(requirements: Path, tmp_path: Path) -> None:
    old = [python for python in (shutil.which(f"python3.{minor}") for minor in range(6, 10)) if python and works(python)]
    if not old:
        pytest.skip("there is no python3.6 to python3.9 on the PATH")
    for python in old:
        command = [python, SCRIPT, "--requirements", requirements, "--venv", tmp_path / "venv"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 1
        assert re.fullmatch(
            r"ERROR edgeml\.runtime\.install_venv: python3 is 3\.\d, expected 3\.10 or later; install a newer Python\n", ran.stderr
        )


def works(python: str) -> bool:
    return subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0


def test_no_module_beside_the_step_shadows_the_standard_library() -> None:
    # `python3 edgeml/runtime/install_venv.py` puts the library's folder first on the path.
    assert not {path.stem for path in SCRIPT.parent.iterdir()} & sys.stdlib_module_names


def test_pip_gets_no_credentials_of_the_component(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert set(step.CREDENTIALS) == CREDENTIALS
    for name in step.CREDENTIALS:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example")
    seen = tmp_path / "seen"
    code = f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(repr(dict(os.environ)))"
    with (tmp_path / "lock").open("w") as lock:
        step._run([sys.executable, "-c", code], "it failed", lock.fileno())
    assert "secret" not in seen.read_text() and "index.example" in seen.read_text()
