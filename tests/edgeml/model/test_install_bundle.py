"""The install and run steps of a model component."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeml.model import install_bundle as step
from tests.edgeml.tiny import SHIPPED


def bundle(folder: Path, content: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(content)
    return folder


def test_bundle_is_installed_under_its_digest_and_replaces_the_previous_one(tmp_path: Path) -> None:
    work = tmp_path / "work"
    one = step.install(bundle(tmp_path / "b", "one"), work)
    assert step.installed(work) is not None and step.installed(work)[0] == one  # type: ignore[index]
    other = step.install(bundle(tmp_path / "b", "other"), work)
    assert one != other and not one.exists() and (other / "manifest.json").read_text() == "other"
    assert step.install(bundle(tmp_path / "b", "one"), work) == one


def test_second_installation_is_a_new_one_and_restores_altered_files(tmp_path: Path) -> None:
    folder = step.install(bundle(tmp_path / "b", "one"), tmp_path / "work")
    before = step.installed(tmp_path / "work")
    (folder / "manifest.json").write_text("altered")
    assert step.install(bundle(tmp_path / "b", "one"), tmp_path / "work") == folder
    assert (folder / "manifest.json").read_text() == "one" and step.installed(tmp_path / "work") != before


def test_step_fails_with_the_result_that_the_reader_reports(tmp_path: Path) -> None:
    work, reader = tmp_path / "work", tmp_path / "com.edgeml.Inference"
    assert step.wait_for_result(reader, work) is None  # nobody is there to be waited for
    reader.mkdir()
    step.install(bundle(tmp_path / "b", "one"), work)
    first = step.installed(work)[1]  # type: ignore[index]
    assert step.wait_for_result(reader, work, 0) is None
    step.report_result(reader, first, "")
    assert step.wait_for_result(reader, work) == ""
    step.install(bundle(tmp_path / "b", "one"), work)
    assert step.wait_for_result(reader, work, 0) is None  # it was of the placing before
    (reader / step.RESULT).write_text("[]")
    assert step.wait_for_result(reader, work, 0) is None
    command = [sys.executable, step.__file__, "--bundle", tmp_path / "b", "--work", work, "--reader", reader]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    second = step.installed(work)
    while second is None or step.installed(work) == second:
        time.sleep(0.01)
    step.report_result(reader, step.installed(work)[1], "it is signed with another key")  # type: ignore[index]
    output, _ = running.communicate(timeout=30)
    assert running.returncode == 1
    assert output.splitlines()[-1] == "ERROR edgeml.model.install_bundle: it is signed with another key"


def test_repair_keeps_a_complete_bundle_and_replaces_an_altered_or_refused_one(tmp_path: Path) -> None:
    work, reader = tmp_path / "work", tmp_path / "com.edgeml.Inference"
    reader.mkdir()

    def repaired() -> tuple[int, int]:
        """Identifies the installation that follows the step; the reader accepts any, so that the step need not wait."""
        command = [sys.executable, step.__file__, "--bundle", bundle(tmp_path / "b", "one"), "--work", work, "--reader", reader, "--repair"]
        running = subprocess.Popen(command)
        before = step.installed(work)
        while running.poll() is None:
            now = step.installed(work)
            if now is not None and now != before and step.read_result(reader, now[1]) is None:
                step.report_result(reader, now[1], "")
            time.sleep(0.01)
        assert running.returncode == 0
        return step.installed(work)[1]  # type: ignore[index]

    first = repaired()
    assert repaired() == first
    (step.installed(work)[0] / "extra").write_text("x")  # type: ignore[index]
    second = repaired()
    assert second != first and repaired() == second
    (step.installed(work)[0] / "manifest.json").write_text("altered")  # type: ignore[index]
    third = repaired()
    assert third != second and (step.installed(work)[0] / "manifest.json").read_text() == "one"  # type: ignore[index]
    step.report_result(reader, third, "it is signed with another key")
    assert repaired() != third


KILL = """
import os, pathlib, shutil, signal, sys
sys.path.insert(0, sys.argv[1])
import install_bundle as step

def deadly(owner, name):
    real = getattr(owner, name)
    def call(*args, **kwargs):
        counted.append(name)
        if len(counted) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(owner, name, call)

counted = []
for owner, name in ((shutil, "rmtree"), (pathlib.Path, "open"), (pathlib.Path, "rename"), (pathlib.Path, "replace"), (os, "fsync")):
    deadly(owner, name)
step.install(pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4]))
"""


@pytest.mark.parametrize("content", ["one", "other"])
def test_kill_at_any_step_leaves_a_complete_bundle(tmp_path: Path, content: str) -> None:
    work = tmp_path / "work"
    step.install(bundle(tmp_path / "b", "one"), work)
    source = bundle(tmp_path / "c", content)
    for number in range(1, 100):
        command = [sys.executable, "-c", KILL, Path(step.__file__).parent, str(number), source, work]
        code = subprocess.run(command, check=False).returncode
        found = step.installed(work)
        assert found is not None and (found[0] / "manifest.json").read_text() in ("one", content), f"killed before effect {number}"
        if code == 0:
            break
        assert code == -signal.SIGKILL
        if content == "other":
            step.install(tmp_path / "b", work)
    assert number > 3 and [path.name for path in (work / "bundles").iterdir()] == [step.install(source, work).name]


def test_full_disk_leaves_the_installed_bundle_and_no_partial_one(tmp_path: Path) -> None:
    work = tmp_path / "work"
    placed = step.install(bundle(tmp_path / "b", "one"), work)
    bundle(tmp_path / "b", "x" * 200_000)
    words = [sys.executable, step.__file__, "--bundle", str(tmp_path / "b"), "--work", str(work)]
    # Files of at most 64 KiB: writes fail, as on a full disk.
    ran = subprocess.run(["bash", "-c", f"ulimit -f 64; exec {shlex.join(words)}"], capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "File too large; installation failed" in ran.stdout
    assert step.installed(work)[0] == placed and list((work / "bundles").iterdir()) == [placed]  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "../../etc", "a" * 63, "a" * 65, "\xe5" * 64])
def test_pointer_that_is_no_digest_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "current").write_text(text)
    assert step.installed(tmp_path) is None


def test_missing_bundle_is_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    placed = step.install(SHIPPED, tmp_path / "work")
    command = [sys.executable, step.__file__, "--bundle", tmp_path / "absent", "--work", tmp_path / "work"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stdout == (
        f"ERROR edgeml.model.install_bundle: {tmp_path / 'absent'}: No such file or directory; "
        "installation failed, no changes were made; redeploy the component\n"
    )
    assert step.installed(tmp_path / "work")[0] == placed  # type: ignore[index]
