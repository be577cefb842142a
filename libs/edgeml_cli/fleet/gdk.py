"""Publishes one component with `gdk component publish`, in a generated gdk project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from edgeml_cli.fleet.build_output import BuiltComponent
from edgeml_cli.fleet.errors import FleetError

REMEDY = "use --without-gdk to publish with boto3"


def find(required: str) -> str | None:
    """The path of gdk; None if it is not installed.

    Args:
        required: `gdk_version` in gdk-config.json.

    Raises:
        FleetError: the installed version is not compatible.
    """
    path = shutil.which("gdk")
    if path is None:
        return None
    try:
        output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise FleetError(f"{path} cannot be run ({fault}); {REMEDY}") from None
    if not is_compatible(output, required):
        raise FleetError(
            f"{path} is {output or 'of an unknown version'}, but the project needs gdk {required}; install that version, or {REMEDY}"
        )
    return path


def is_compatible(output: str, required: str) -> bool:
    """Whether the output of `gdk --version` has the major and minor version of `required` and is not older."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", output)
    version = tuple(map(int, found.groups())) if found else ()
    minimum = tuple(map(int, required.split(".")))
    return version[:2] == minimum[:2] and version >= minimum


def stage_project(item: BuiltComponent, place: Path, author: str, bucket: str, region: str, version: str) -> Path:
    """Write a gdk project for one component, ready for `gdk component build` and `gdk component publish`.

    Args:
        place: directory of the project; its previous content is removed.
    """
    if place.exists():
        shutil.rmtree(place)
    artifacts = place / "staged" / "artifacts" / item.name / item.version
    artifacts.mkdir(parents=True)
    for file, source in item.files.items():
        shutil.copyfile(source, artifacts / file)
    copy = ["cp", "-R", "staged/recipes", "staged/artifacts", "greengrass-build"]
    config = {
        "component": {
            item.name: {
                "author": author,
                "version": item.version,
                "build": {"build_system": "custom", "custom_build_command": copy},
                # The next publish compares the digest that S3 stores with each object.
                "publish": {"bucket": bucket, "region": region, "options": {"file_upload_args": {"ChecksumAlgorithm": "SHA256"}}},
            }
        },
        "gdk_version": version,
    }
    (place / "gdk-config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    recipe = yaml.safe_dump(json.loads(item.text), sort_keys=False, allow_unicode=True)
    for path in (place / "recipe.yaml", place / "staged" / "recipes" / "recipe.yaml"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(recipe, encoding="utf-8")
    return place


def publish(gdk: str, project: Path, bucket: str, region: str) -> str:
    """Build and publish the staged project; returns gdk's error message, or an empty text."""
    for command in (["build"], ["publish", "--bucket", bucket, "--region", region]):
        result = subprocess.run([gdk, "component", *command], cwd=project, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
            errors = [line for line in lines if re.search(r"\bERROR\b|Error|Exception|=== ", line)] or lines
            return " ".join((errors[-1] if errors else f"exit code {result.returncode}").split())
    return ""
