"""`edgeml dev test-arm64`: its requirements of the machine, its commands in the root, and its check of the golden samples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeml.model.bundle import Bundle, save
from edgeml_cli.build.package import ROOT
from edgeml_cli.verify import arm64
from edgeml_cli.verify.arm64 import __main__ as command
from edgeml_cli.verify.arm64 import debian_root as module
from edgeml_cli.verify.arm64.debian_root import PACKAGES, SUITE, Root, RootError

BUNDLE = ROOT / "model_training" / "bundles" / "pump_anomaly"


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with root's rights and an emulator; gives the folder of what binfmt_misc has registered."""
    (tmp_path / "binfmt").mkdir()
    (tmp_path / "binfmt" / "register").touch()
    (tmp_path / "binfmt" / "qemu-aarch64").write_text("enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: PF\n")
    monkeypatch.setattr(module, "BINFMT", tmp_path / "binfmt")
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path / "binfmt"


def made(folder: Path, *, mirror: str = "") -> str:
    """The sentence with which a root is not made."""
    with pytest.raises(RootError) as caught:
        Root(folder).make(lambda text: None, mirror)
    return str(caught.value)


def test_missing_privileges_are_reported(able: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert made(tmp_path / "root").endswith("run this with sudo")


@pytest.mark.parametrize("entry", ["", "disabled\nflags: PF\n", "enabled\nflags: P\n"], ids=["none", "disabled", "without F"])
def test_missing_emulator_is_reported_with_the_packages_to_install(
    able: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    (able / "qemu-aarch64").unlink()
    if entry:
        (able / "qemu-aarch64").write_text(entry)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert "apt install qemu-user-static binfmt-support" in made(tmp_path / "root")


def test_no_emulator_is_needed_on_64_bit_arm(able: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (able / "qemu-aarch64").unlink()
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert "apt install debootstrap" in made(tmp_path / "root")


def test_directory_with_other_files_is_not_changed(able: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/sbin/{name}")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").touch()
    assert "contains files that this command did not create" in made(tmp_path / "home")
    assert (tmp_path / "home" / "letter").exists()


@pytest.fixture
def debootstrap(able: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for it: writes what it was asked for, and fails as it does where a mirror is `bad`."""
    path = tmp_path / "bin" / "debootstrap"
    path.parent.mkdir()
    path.write_text(
        '#!/bin/sh\nmkdir -p "$5/debootstrap"\necho "$@" >> "$5/debootstrap/asked"\n'
        '[ "$6" = bad ] && echo "E: Failed getting release file" && exit 1\nexit 0\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_root_is_created_once_and_recreated_if_incomplete(debootstrap: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root"
    assert "E: Failed getting release file" in made(folder, mirror="bad")
    for _ in range(2):
        Root(folder).make(lambda text: None)
    asked = (folder / "debootstrap" / "asked").read_text().splitlines()
    assert asked == [f"--arch=arm64 --variant=minbase --include={','.join(PACKAGES)} {SUITE} {folder}"]


def test_command_gets_only_the_package_index_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://index/simple")
    monkeypatch.setenv("PYTHONPATH", "/here")
    line = Root(tmp_path / "a root").command(["python3", "-c", "a b"], {tmp_path / "data": "/data"}, cwd="/srv")[-1].splitlines()
    assert f"mount --bind {tmp_path}/data '{tmp_path}/a root/data'" in line
    assert line[-1].startswith(f"exec chroot '{tmp_path}/a root' /usr/bin/env -i --chdir=/srv ") and line[-1].endswith("python3 -c 'a b'")
    assert " PIP_INDEX_URL=http://index/simple " in line[-1] and "PYTHONPATH" not in line[-1]


def test_command_without_network(tmp_path: Path) -> None:
    assert "--net" in Root(tmp_path).command(["true"], network=False) and "--net" not in Root(tmp_path).command(["true"])


def test_golden_check_fails_for_a_model_that_does_not_match(tmp_path: Path) -> None:
    def check(*bundles: Path) -> subprocess.CompletedProcess[str]:
        run = [sys.executable, "-c", command.GOLDEN, *map(str, bundles)]
        return subprocess.run(run, cwd=ROOT / "libs", capture_output=True, text=True, check=False)

    good = check(BUNDLE)
    assert good.returncode == 0 and good.stdout.startswith("pump_anomaly ") and "13 golden windows" in good.stdout
    shipped = Bundle.load(BUNDLE)
    save(tmp_path / "other", shipped.manifest, (ROOT / "tests" / "edgeml" / "files" / "sibling.tflite").read_bytes(), shipped.golden)
    bad = check(tmp_path / "other", BUNDLE)
    assert bad.returncode == 1 and [line.split(" ")[0] for line in bad.stdout.splitlines()] == ["refused:", "pump_anomaly"]


def test_named_tests_exist() -> None:
    assert all((ROOT / name).is_file() for name in command.TESTS)
    file, _, name = command.SILENT.partition("::")
    assert file in command.TESTS and f"def {name}(" in (ROOT / file).read_text()
    assert arm64.__doc__


def test_unknown_step_is_rejected_with_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["instal"])
    assert "instal: no such step; known are install, golden, tests, demo" in capsys.readouterr().err
