"""Each zip on its own: installed by its own install step into an empty virtual environment, and started by the local nucleus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeml.messages import Status, decode, topics
from edgeml_cli.build.package import COMPONENTS
from tests.patience import PATIENCE_S

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, ".")
for package in sys.argv[1:]:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


@pytest.mark.parametrize("name", COMPONENTS)
def test_component_runs_with_its_own_requirements_only(
    name: str, built: Path, version: str, gglocal_factory: Callable[..., Any], tmp_path: Path
) -> None:
    nucleus = gglocal_factory(root=tmp_path / "root")
    statuses = nucleus.listen(topics.STATUS)
    nucleus.deploy(built / "recipes", built / "artifacts", {name: version})
    nucleus.wait_for_state(name, "RUNNING", timeout=240)
    status = decode(statuses.get(timeout=PATIENCE_S).payload)
    assert isinstance(status, Status)
    assert (status.component, status.faults) == (name, ())

    python = nucleus.work_dir(name) / "venv" / "bin" / "python"
    folder = COMPONENTS[name]
    place = next((tmp_path / "root").rglob(f"{folder}/requirements.txt")).parent
    shown = subprocess.run([python, "-m", folder, "--help"], cwd=place, capture_output=True, text=True, check=True).stdout
    assert "--work" in shown and "--artifacts" in shown
    subprocess.run([python, "-c", IMPORT_ALL, folder, "edgeml"], cwd=place, check=True)

    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True).stdout
    installed = {item["name"].lower() for item in json.loads(listed)}
    assert "awsiotsdk" in installed
    assert not installed & {"edgeml", "paho-mqtt", "pytest", "tensorflow"}
    assert ("ai-edge-litert" in installed or "tflite-runtime" in installed) == (folder == "inference")
