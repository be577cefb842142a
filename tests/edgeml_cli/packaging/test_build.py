"""`edgeml build`: the content of its output, and its reproducibility."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from edgeml_cli.build import package

PARTS = ("components", "libs", "recipes", "scripts", "model_training", "gdk-config.json", "recipe.yaml")
JUNK = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")


def checkout(target: Path) -> Path:
    """A copy of what a build reads."""
    target.mkdir(parents=True)
    for part in PARTS:
        source = package.ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=JUNK, symlinks=True)
        else:
            shutil.copy2(source, target / part, follow_symlinks=False)
    return target


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def pythons() -> list[str]:
    """One interpreter of each version that is on the PATH."""
    found = {f"3.{sys.version_info.minor}": sys.executable}
    for minor in range(10, 16):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            found.setdefault(f"3.{minor}", path)
    return list(found.values())


def test_build_is_reproducible_in_another_checkout_umask_time_and_python(built: Path, tmp_path: Path) -> None:
    other = checkout(tmp_path / "elsewhere" / "a checkout")
    for path in other.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (1e9, 1e9))
            path.chmod(0o700 if path.parent.name == "scripts" else 0o600)
    (other / "libs" / "edgeml" / "__pycache__").mkdir()
    (other / "libs" / "edgeml" / "__pycache__" / "bus.cpython-310.pyc").write_bytes(b"compiled")
    (other / "libs" / "edgeml" / ".bus.py.swp").write_bytes(b"an editor's")
    wanted = digests(built)
    assert len(wanted) == 10
    for python in pythons():
        made = subprocess.run(
            [python, "-m", "edgeml_cli.build.package"],
            cwd=other,
            env={**os.environ, "PYTHONPATH": str(other / "libs"), "TZ": "Asia/Tokyo"},
            umask=0o077,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        assert digests(other / "greengrass-build") == wanted, python


def test_build_script_needs_python_only(built: Path, tmp_path: Path) -> None:
    """In a clone without an environment, with an interpreter that has no package, from gdk's folder."""
    other = checkout(tmp_path / "checkout")
    venv.create(tmp_path / "bare", with_pip=False)
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    variables["PATH"] = os.pathsep.join((str(tmp_path / "bare" / "bin"), variables["PATH"]))
    made = subprocess.run(["scripts/build"], cwd=other, env=variables, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")
    assert digests(other / "greengrass-build") == digests(built)
    assert not (other / ".venv").exists() and not (other / "build").exists()


def test_zip_contains_component_library_and_requirements(built: Path, version: str) -> None:
    for name, folder in package.COMPONENTS.items():
        with zipfile.ZipFile(built / "artifacts" / name / version / f"{folder}.zip") as archive:
            names = archive.namelist()
            assert {entry.date_time for entry in archive.infolist()} == {package.ZIP_EPOCH}
        assert {path.split("/")[0] for path in names} == {folder, "edgeml", "requirements.txt", "requirements.lock"}
        assert {f"{folder}/__main__.py", f"{folder}/__init__.py", "edgeml/runtime/install_venv.py", "edgeml/ipc/bus.py"} <= set(names)
        assert all(path.endswith((".py", "requirements.txt", "requirements.lock")) for path in names), names


def test_model_bundle_is_a_separate_artifact(built: Path, version: str) -> None:
    with zipfile.ZipFile(built / "artifacts" / "com.edgeml.Inference" / version / "pump_anomaly.zip") as archive:
        assert archive.namelist() == ["golden.json", "manifest.json", "manifest.sig", "model.tflite"]


def test_missing_model_is_reported_and_the_last_build_is_kept(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    package.build(root, root / "greengrass-build")
    before = digests(root / "greengrass-build")
    (root / "model_training" / "bundles" / "pump_anomaly" / "model.tflite").unlink()
    with pytest.raises(package.BuildError, match=r"pump_anomaly lacks model\.tflite; restore it, or train a model with edgeml model train"):
        package.build(root, root / "greengrass-build")
    assert digests(root / "greengrass-build") == before


def test_build_removes_the_previous_build(tmp_path: Path) -> None:
    out = tmp_path / "greengrass-build"
    package.build(package.ROOT, out)
    (out / "recipes" / "com.edgeml.Gone-0.0.1.yaml").write_text("")
    (out / "artifacts" / "com.edgeml.Gone").mkdir()
    package.build(package.ROOT, out)
    assert not list(out.rglob("*Gone*"))


@pytest.mark.parametrize("version", ["NEXT_PATCH", "1.0", ""])
def test_only_semantic_versions_are_accepted(tmp_path: Path, version: str) -> None:
    (tmp_path / "gdk-config.json").write_text(f'{{"component": {{"{package.SUITE}": {{"author": "a", "version": "{version}"}}}}}}')
    with pytest.raises(package.BuildError, match="expected major.minor.patch"):
        package.Project.read(tmp_path)


@pytest.mark.parametrize("arguments", [["--bucket", "My_Bucket"], ["--thing-group-arn", "pumps"]])
def test_malformed_names_are_rejected(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        package.main(arguments)
    assert "is no" in capsys.readouterr().err


def test_bucket_and_thing_group_are_filled_in(tmp_path: Path, version: str) -> None:
    arn = "arn:aws:iot:eu-central-1:123456789012:thinggroup/pumps"
    assert package.main(["--bucket", "pumps-edge", "--thing-group-arn", arn, "--out", str(tmp_path)]) == 0
    assert arn in (tmp_path / "deployment.json").read_text()
    text = (tmp_path / "recipes" / f"com.edgeml.Inference-{version}.yaml").read_text()
    assert f"Uri: s3://pumps-edge/com.edgeml.Inference/{version}/inference.zip" in text
