from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gglocal.recipe.manifest_selection import Host, select
from gglocal.recipe.parser import load_recipe

PI = Host({"os": "linux", "architecture": "arm", "architecture.detail": "armv7l"})
PC = Host({"os": "linux", "architecture": "amd64"})


def _selected(tmp_path: Path, host: Host, lite: bool, manifests: list[Any], lifecycle: Any = None) -> dict[str, Any] | None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "ComponentName": "a",
                "ComponentVersion": "1.0.0",
                "Manifests": manifests,
                "Lifecycle": lifecycle or {},
            }
        )
    )
    found = select(load_recipe(path), host, lite=lite)
    return None if found is None else found.lifecycle


def _manifest(platform: Any, **rest: Any) -> dict[str, Any]:
    return {"Platform": platform, "Lifecycle": {"run": str(platform)}, **rest}


@pytest.mark.parametrize(
    "platform, host, classic, lite",
    [
        ({"os": "linux", "runtime": "*"}, PC, True, True),
        ({"os": "linux", "runtime": "aws_nucleus_lite"}, PC, False, True),
        ({"os": "linux"}, PC, True, False),
        ({"os": "all"}, PC, True, False),
        ({"os": "*", "runtime": "*"}, PC, True, True),
        ({"os": "windows", "runtime": "*"}, PC, False, False),
        ({"os": "linux", "runtime": "*", "architecture": "amd64"}, PC, True, True),
        ({"os": "linux", "runtime": "*", "architecture": "arm"}, PC, False, False),
        ({"os": "linux", "runtime": "*", "architecture": "/amd64|aarch64/"}, PC, True, False),
        ({"os": "/darwin|linux/", "runtime": "*"}, PC, True, False),
        ({"os": "linux", "runtime": "*", "architecture.detail": "armv7l"}, PI, True, True),
        ({"os": "linux", "architecture.detail": "armv7l"}, PC, False, False),
        ({"runtime": "*"}, PC, True, False),
        ({}, PC, True, False),
        ({"os": "linux", "runtime": "*", "color": "blue"}, PC, False, True),
    ],
)
def test_platform_matches(tmp_path: Path, platform: Any, host: Host, classic: bool, lite: bool) -> None:
    assert (_selected(tmp_path, host, False, [_manifest(platform)]) is not None) == classic
    assert (_selected(tmp_path, host, True, [_manifest(platform)]) is not None) == lite


def test_first_matching_manifest_is_selected(tmp_path: Path) -> None:
    manifests = [
        _manifest({"os": "linux", "runtime": "*", "architecture": "arm"}),
        _manifest({"os": "linux", "runtime": "*"}),
    ]
    assert _selected(tmp_path, PC, True, manifests) == manifests[1]["Lifecycle"]
    assert _selected(tmp_path, PI, True, manifests) == manifests[0]["Lifecycle"]


GLOBAL = {
    "linux": {"install": {"Script": "linux install"}, "run": {"Script": "linux run"}},
    "all": {"run": {"Script": "all run"}},
}


@pytest.mark.parametrize("lite", [True, False])
def test_selections_select_from_the_global_lifecycle(tmp_path: Path, lite: bool) -> None:
    platform = {"os": "linux", "runtime": "*"}
    chosen = _selected(tmp_path, PC, lite, [{"Platform": platform, "Selections": ["linux"]}], GLOBAL)
    assert chosen == GLOBAL["linux"]
    default = _selected(tmp_path, PC, lite, [{"Platform": platform}], {"all": GLOBAL["all"]})
    assert default == GLOBAL["all"]


def test_lifecycle_of_a_manifest_takes_precedence(tmp_path: Path) -> None:
    manifest = _manifest({"os": "linux", "runtime": "*"}, Selections=["linux"])
    assert _selected(tmp_path, PC, True, [manifest], GLOBAL) == manifest["Lifecycle"]


def test_selections_below_a_step_and_below_its_script_are_classic(tmp_path: Path) -> None:
    lifecycle = {
        "install": {"debian": {"Script": "apt"}, "all": {"Script": "make"}},
        "run": {"Script": {"debian": "run debian", "all": "run any"}, "Timeout": 5},
    }
    manifests = [{"Platform": {"os": "linux"}, "Selections": ["debian"]}, {"Platform": {"os": "darwin"}, "Selections": ["mac"]}]
    assert _selected(tmp_path, PC, False, manifests, lifecycle) == {
        "install": {"Script": "apt"},
        "run": {"Script": "run debian", "Timeout": 5},
    }


def test_global_lifecycle_without_selections_is_classic(tmp_path: Path) -> None:
    manifests = [{"Platform": {"os": "linux", "runtime": "*"}}]
    assert _selected(tmp_path, PC, False, manifests, {"run": "echo"}) == {"run": "echo"}
    assert _selected(tmp_path, PC, True, manifests, {"run": "echo"}) is None
