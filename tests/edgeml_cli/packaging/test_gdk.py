"""`gdk component build` in the project root builds the same files as scripts/build."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.edgeml_cli.packaging.test_build import checkout, digests

VERSION = "1.6.2"


@pytest.fixture(scope="session")
def gdk() -> str:
    """The gdk on the PATH, or the one that EDGEML_GDK names."""
    found = os.environ.get("EDGEML_GDK") or shutil.which("gdk")
    if found is None:
        pytest.skip(f"gdk is not installed; put gdk {VERSION} on the PATH, or its path into EDGEML_GDK")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if VERSION not in told:
        pytest.skip(f"{found} is {told.strip()}, wanted is {VERSION}")
    return found


def test_gdk_builds_the_same_bytes(gdk: str, built: Path, tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    made = subprocess.run([gdk, "component", "build"], cwd=root, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert digests(root / "greengrass-build") == digests(built)
