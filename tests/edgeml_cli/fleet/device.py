"""A core device of the fake Greengrass service: a gglocal nucleus that downloads artifacts from S3, installs them and reports."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from gglocal.api.nucleus import Nucleus
from gglocal.deployment.resolver import RecipeStore, resolve
from gglocal.process.component import BROKEN, FINISHED, RUNNING
from gglocal.profile import PROFILES
from gglocal.recipe.manifest_selection import Host
from tests.edgeml_cli.fleet.fake_greengrass import Deployment

PATIENCE_S = 60.0


class Device:
    """A thing with a nucleus.

    It runs the components in the latest deployments of all its groups. A component in none of them, which no other component
    depends on, is removed.

    Args:
        nucleus: a running nucleus.
        venvs: existing virtual environments, by component.
    """

    def __init__(self, thing: str, nucleus: Nucleus, place: Path, venvs: dict[str, Path] | None = None) -> None:
        self.thing, self.nucleus, self._place = thing, nucleus, place
        self._targets: dict[str, dict[str, str]] = {}  # by target: version by component
        self._roots: dict[str, str] = {}
        self._updates: dict[str, Any] = {}
        for component, venv in (venvs or {}).items():
            work = nucleus.work_dir(component)
            work.mkdir(parents=True, exist_ok=True)
            (work / "venv").symlink_to(venv)

    def installed(self) -> list[dict[str, Any]]:
        """For ListInstalledComponents."""
        return [
            {
                "componentName": each.name,
                "componentVersion": each.version,
                "lifecycleState": each.state,
                "isRoot": each.name in self._roots,
                **({"lifecycleStateDetails": each.detail} if each.detail else {}),
            }
            for each in self.nucleus.components()
        ]

    def deploy(self, deployment: Deployment, recipes: dict[str, dict[str, dict[str, Any]]]) -> str:
        """Download, install and wait; after a failure, roll back and return the reason."""
        wanted = {name: each["componentVersion"] for name, each in deployment.request["components"].items()}
        updates = {name: _update(each.get("configurationUpdate", {})) for name, each in deployment.request["components"].items()}
        # A component is configured only if its configuration update differs from that of the previous deployment.
        updates = {name: update for name, update in updates.items() if self._updates.get(name) != update}
        target, before, targets_before = deployment.request["targetArn"], dict(self._roots), dict(self._targets)
        updates_before = {name: update for name, update in self._updates.items() if name in before}
        self._targets[target] = wanted
        try:
            combined = self._combined()
            self._fetch(combined, recipes)
            self._deploy(combined, updates)
            self._updates = {name: update for name, update in (self._updates | updates).items() if name in combined}
        except Exception as fault:
            why = " ".join(str(fault).split())
            policy = deployment.request.get("deploymentPolicies", {}).get("failureHandlingPolicy", "ROLLBACK")
            if policy == "ROLLBACK" and before:
                self._targets = targets_before
                # A removed component lost its configuration, so it is restored with its previous update.
                self._deploy(before, {name: update for name, update in updates_before.items() if name not in self._roots})
            return why
        return ""

    def _combined(self) -> dict[str, str]:
        """The component versions of all groups.

        Raises:
            RuntimeError: two groups require different versions of a component.
        """
        combined: dict[str, str] = {}
        for target, wanted in self._targets.items():
            for name, version in wanted.items():
                if combined.setdefault(name, version) != version:
                    raise RuntimeError(f"{target} requires {name} {version}, and another group {combined[name]}")
        return combined

    def _fetch(self, wanted: dict[str, str], recipes: dict[str, dict[str, dict[str, Any]]]) -> None:
        place = self._place / "recipes"
        place.mkdir(parents=True, exist_ok=True)
        for name, versions in recipes.items():
            for version, recipe in versions.items():
                (place / f"{name}-{version}.json").write_text(json.dumps(recipe))
        store = RecipeStore(PROFILES["classic"])
        store.add_directory(place)
        for planned in resolve(wanted, store, Host.detect()):
            for artifact in planned.selected.manifest.artifacts:
                address = urlsplit(artifact.uri)
                content = boto3.client("s3").get_object(Bucket=address.netloc, Key=address.path.lstrip("/"))["Body"].read()
                written = next(
                    each
                    for manifest in planned.recipe.document["Manifests"]
                    for each in manifest["Artifacts"]
                    if each["Uri"] == artifact.uri
                )
                if hashlib.sha256(content).digest() != b64decode(written["Digest"]):
                    raise RuntimeError(f"{artifact.uri} does not have the digest in its recipe")
                target = self._place / "artifacts" / planned.recipe.name / str(planned.recipe.version) / artifact.file_name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def _deploy(self, wanted: dict[str, str], updates: dict[str, Any]) -> None:
        gone = self._roots.keys() - wanted.keys()
        self.nucleus.deploy(self._place / "recipes", self._place / "artifacts", wanted, updates, gone)
        self._roots = wanted
        deadline = time.monotonic() + PATIENCE_S
        while True:
            states = {each.name: each for each in self.nucleus.components()}
            broken = [each for each in states.values() if each.state == BROKEN]
            if broken:
                lines = self.nucleus.tail(broken[0].name, 30).splitlines()
                last = [line.partition("stdout: ")[2] for line in lines if "stdout: " in line][-1:]
                raise RuntimeError(f"{broken[0].name} {broken[0].version} is BROKEN: {''.join(last)} ({broken[0].detail})")
            if all(each.state in (RUNNING, FINISHED) for each in states.values()):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(", ".join(f"{each.name} {each.state}" for each in states.values()))
            time.sleep(0.05)


def _update(raw: dict[str, Any]) -> dict[str, Any]:
    return {"merge": json.loads(raw.get("merge", "{}")), "reset": list(raw.get("reset", ()))}
