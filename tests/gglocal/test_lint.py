from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gglocal.lint import findings, lint_file
from gglocal.platform import Host
from gglocal.recipe import load_recipe
from tests.gglocal.recipes import LINUX, Shelf

HOST = Host({"os": "linux", "architecture": "amd64"})


def test_a_recipe_for_lite_is_fit(tmp_path: Path) -> None:
    run = {"Script": "python3 {artifacts:path}/a.py '{configuration:/x}'", "Setenv": {"A": "{work:path}"}}
    assert lint_file(Shelf(tmp_path).add("a", {"install": "true", "run": run}), HOST) == []


@pytest.mark.parametrize("lifecycle, manifest, wanted", [
    ({"Run": "true"}, {}, "the key Manifests/0/Lifecycle/Run is spelt run"),
    ({"run": {"script": "true"}}, {}, "is spelt Script"),
    ({"shutdown": "true"}, {}, "none of the steps bootstrap, install, startup, run"),
    ({"run": {"Script": "true", "Skipif": "onpath git"}}, {}, "run/Skipif is not supported"),
    ({"run": "{com.example.B:artifacts:path}/x"}, {}, "no variables of other components"),
    ({"run": "{artifacts:where}/x"}, {}, "run/Script holds {artifacts:where}; known are"),
    ({"run": "echo ${HOME}"}, {}, "takes every brace for a recipe variable"),
    ({"run": ["true"]}, {}, "run is a list"),
    ({"run": {"Timeout": 3}}, {}, "run has no Script"),
    ({"run": {"Script": "true", "Setenv": {"a-b": "1"}}}, {}, "no name for an environment variable"),
    ({"run": "true"}, {"Platform": {"os": "linux"}}, 'add runtime: "*" to its Platform'),
    ({"run": "true"}, {"Platform": {**LINUX, "architecture": "/amd64|arm/"}}, "takes no regular expressions"),
    ({"run": "true"}, {"Artifacts": [{"URI": "s3://b/a"}]}, "is spelt Uri"),
])
def test_what_lite_refuses(tmp_path: Path, lifecycle: Any, manifest: dict[str, Any], wanted: str) -> None:
    path = Shelf(tmp_path).add("com.example.A", lifecycle, manifest=manifest)
    faults = lint_file(path, HOST)
    assert any(wanted in fault for fault in faults), faults
    assert all(fault.startswith(str(path)) for fault in faults)


def test_shutdown_and_recover_are_only_ignored(tmp_path: Path) -> None:
    path = Shelf(tmp_path).add("a", {"run": "true", "shutdown": "echo ${X}", "recover": "true"})
    assert lint_file(path, HOST) == []
    assert [finding.kind for finding in findings(load_recipe(path), HOST)] == ["ignored", "ignored"]
