"""Locks, wheels in the zip, and the install step with and without a package index."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeml.runtime import install_venv as step
from edgeml_cli.build import package, wheelhouse
from edgeml_cli.build.package import COMPONENTS, ROOT, BuildError
from edgeml_cli.build.wheelhouse import Lock, LockEntry, Target, WheelError

HERE = Target(platform.machine(), f"{sys.version_info[0]}.{sys.version_info[1]}")
CLOSED = "http://127.0.0.1:9/simple"
"""An index that refuses every connection: the discard port."""
LOCKS = {name: ROOT / "components" / folder / "requirements.txt" for name, folder in COMPONENTS.items()}


def wheel(folder: Path, name: str, needs: str = "") -> tuple[str, str]:
    """A wheel of version 1.0; gives its requirement and its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (f"Requires-Dist: {needs}\n" if needs else "")
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{name}.py", "")
        packed.writestr(f"{name}-1.0.dist-info/METADATA", about)
        packed.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{name}-1.0.dist-info/RECORD", f"{name}.py,,\n")
    return f"{name}==1.0", hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def component(tmp_path: Path) -> Path:
    """The folder of an unpacked component whose `tiny` needs `other`: requirements, lock and wheels."""
    folder = tmp_path / "component"
    made = [wheel(folder / "wheels", "other"), wheel(folder / "wheels", "tiny", "other")]
    (folder / "wheels" / "targets.txt").write_text(f"{HERE}\n")
    (folder / "requirements.txt").write_text("tiny==1.0\n")
    entries = tuple(LockEntry(requirement, (digest,), frozenset()) for requirement, digest in made)
    (folder / "requirements.lock").write_text(Lock(wheelhouse.requirements_digest(folder / "requirements.txt"), (HERE,), entries).text())
    return folder


@pytest.fixture
def venv(tmp_path: Path, empty: Path) -> Path:
    return Path(shutil.copytree(empty, tmp_path / "venv", symlinks=True))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    (folder / "nothing.txt").write_text("# nothing\n")
    step.install([folder / "nothing.txt"], folder / "venv")
    return folder / "venv"


def run(component: Path, venv: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The install step, with no package index but the one in `environ`."""
    command = [sys.executable, step.__file__, "--requirements", component / "requirements.txt", "--venv", venv]
    around = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    around |= {"PIP_INDEX_URL": CLOSED, "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull, **environ}
    return subprocess.run(command, env=around, capture_output=True, text=True, check=False)


def has(venv: Path, *names: str) -> bool:
    return subprocess.run([venv / "bin" / "python", "-c", f"import {', '.join(names)}"], capture_output=True, check=False).returncode == 0


def test_wheels_in_the_zip_are_installed_without_a_network(component: Path, venv: Path) -> None:
    ran = run(component, venv)
    assert ran.returncode == 0, ran.stderr
    assert has(venv, "tiny", "other")
    assert "is up to date" in run(component, venv).stderr


def test_package_index_is_used_without_wheels(component: Path, venv: Path) -> None:
    shutil.move(component / "wheels", component / "elsewhere")
    ran = run(component, venv)
    assert ran.returncode == 1 and "pip could not install" in ran.stderr
    # The same files where pip finds them by its configuration, as it finds a package index.
    assert run(component, venv, PIP_FIND_LINKS=str(component / "elsewhere"), PIP_NO_INDEX="1").returncode == 0
    assert has(venv, "tiny", "other")


@pytest.mark.parametrize("shipped", [True, False], ids=["in the zip", "of the index"])
def test_wheel_with_another_digest_is_rejected(component: Path, venv: Path, shipped: bool) -> None:
    wheel(component / "wheels", "other", "tiny")
    if not shipped:
        shutil.move(component / "wheels", component / "elsewhere")
    environ = {} if shipped else {"PIP_FIND_LINKS": str(component / "elsewhere"), "PIP_NO_INDEX": "1"}
    ran = run(component, venv, **environ)
    assert ran.returncode == 1 and "DO NOT MATCH THE HASHES" in ran.stderr
    assert not has(venv, "other")


def test_wheels_for_other_devices_are_reported_in_one_sentence(component: Path, venv: Path) -> None:
    (component / "wheels" / "targets.txt").write_text("aarch64-3.9\n")
    ran = run(component, venv)
    assert ran.returncode == 1
    assert f"has wheels for aarch64-3.9, but this device is {HERE}; build the component with --wheels" in ran.stderr.splitlines()[-1]


def test_device_without_a_lock_target_uses_the_pinned_versions(component: Path, venv: Path) -> None:
    lock = Lock.read(component / "requirements.lock")
    (component / "requirements.lock").write_text(Lock(lock.requirements, (Target("aarch64", "3.11"),), lock.entries).text())
    shutil.move(component / "wheels", component / "elsewhere")
    ran = run(component, venv, PIP_FIND_LINKS=str(component / "elsewhere"), PIP_NO_INDEX="1")
    assert ran.returncode == 0 and has(venv, "tiny", "other")
    assert f"has no digests for {HERE}" in ran.stderr


@pytest.mark.parametrize("name", LOCKS)
def test_components_are_locked_for_every_target_with_wheels(name: str) -> None:
    lock = wheelhouse.current_lock(LOCKS[name])
    assert {str(target) for target in lock.targets} == {
        f"{machine}-{each}" for machine in ("x86_64", "aarch64") for each in wheelhouse.PYTHONS
    }
    for target in lock.targets:
        names = [entry.requirement.partition("==")[0] for entry in lock.entries if entry.applies_to(target)]
        assert len(names) == len(set(names)), f"{target} has two versions of one package"
        assert {"awscrt", "awsiotsdk", "msgspec", "numpy"} <= set(names)
    assert all(entry.hashes and all(len(digest) == 64 for digest in entry.hashes) for entry in lock.entries)
    assert lock.text() == LOCKS[name].with_suffix(".lock").read_text()


def test_outdated_lock_is_rejected(tmp_path: Path) -> None:
    for part in ("components", "libs", "recipes", "model_training/bundles", "gdk-config.json"):
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy2)(ROOT / part, tmp_path / part)
    path = tmp_path / "components" / "inference" / "requirements.txt"
    path.write_text(path.read_text() + "tiny==1.0\n")
    with pytest.raises(BuildError, match="is outdated: .* has changed; run edgeml dev lock"):
        package.build(tmp_path, tmp_path / "out")


def test_shipped_wheels_match_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = wheel(tmp_path / "index", "tiny")
    other = LockEntry("absent==1.0", (made[1],), frozenset({Target("x86_64", "2.7")}))
    lock = Lock("", (HERE,), (LockEntry(made[0], (made[1],), frozenset()), other))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (path,) = wheelhouse.download(lock, HERE, tmp_path / "cache")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == made[1]
    shutil.rmtree(tmp_path / "index")
    assert wheelhouse.download(lock, HERE, tmp_path / "cache") == [path]  # from the cache
    with pytest.raises(WheelError, match=f"no wheels for aarch64-3.9, .* available targets are {HERE}"):
        wheelhouse.download(lock, Target("aarch64", "3.9"), tmp_path / "cache")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--wheels", "linux-aarch64"], "--wheels and --python go together"),
        (["--wheels", "windows-x86_64", "--python", "3.11"], "'windows-x86_64'; valid platforms are linux-x86_64, linux-aarch64"),
        (["--wheels", "linux-x86_64", "--python", "3.9"], "--python: unknown version 3.9; wheels are locked for 3.10"),
        (["--wheels", "linux-armv7l", "--python", "3.11"], "'linux-armv7l'; valid platforms are linux-x86_64, linux-aarch64"),
    ],
    ids=["no python", "windows", "old python", "armv7l"],
)
def test_invalid_wheel_options_are_reported_in_one_sentence(arguments, sentence, tmp_path, capsys) -> None:
    assert package.main([*arguments, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("edgeml build: ") and sentence in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
