"""`gdk component publish` for one component: a project of its own, and gdk's command run in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from edgeml_cli.fleet.build_output import Item
from edgeml_cli.fleet.errors import FleetError

REMEDY = "give --without-gdk to publish with boto3"


def find(wanted: str) -> str | None:
    """The gdk on the PATH; None: there is none.

    Args:
        wanted: the version of `gdk_version` in gdk-config.json.

    Raises:
        FleetError: it is of another version.
    """
    path = shutil.which("gdk")
    if path is None:
        return None
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise FleetError(f"{path} cannot be run ({fault}); {REMEDY}") from None
    if not fits(told, wanted):
        raise FleetError(
            f"{path} is {told or 'of no version that it tells'}, and the project is for gdk {wanted}; install that one, or {REMEDY}"
        )
    return path


def fits(told: str, wanted: str) -> bool:
    """Whether what `gdk --version` said is of the same major and minor version as `wanted`, and no older."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", told)
    numbers = tuple(map(int, found.groups())) if found else ()
    least = tuple(map(int, wanted.split(".")))
    return numbers[:2] == least[:2] and numbers >= least


def stage(item: Item, place: Path, author: str, bucket: str, region: str, version: str) -> Path:
    """A gdk project of one component: `gdk component build` and `gdk component publish` work in it.

    Args:
        place: becomes the project; what it held is removed.
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
                # The digest that S3 keeps beside each object is what the next publish compares with.
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
    """Build and publish the staged project; gives gdk's complaint, empty when it had none."""
    for command in (["build"], ["publish", "--bucket", bucket, "--region", region]):
        ran = subprocess.run([gdk, "component", *command], cwd=project, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            lines = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
            told = [line for line in lines if re.search(r"\bERROR\b|Error|Exception|=== ", line)] or lines
            return " ".join((told[-1] if told else f"exit code {ran.returncode}").split())
    return ""
