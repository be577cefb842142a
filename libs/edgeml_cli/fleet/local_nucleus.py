"""Deploys to the nucleus of this machine: with greengrass-cli on a core device, or to a running gglocal."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeml.runtime.last_good_config import LAST_GOOD, REFUSED
from edgeml_cli.build.package import ROOT
from edgeml_cli.fleet import config_check, deployment_outcome
from edgeml_cli.fleet.errors import FleetError
from edgeml_cli.fleet.nucleus_cli import NucleusCli
from gglocal.cli.arguments import number
from gglocal.recipe.parser import load_recipe
from gglocal.root_dir import default_root

DEVICE = Path("/greengrass/v2")
Updates = Mapping[str, Mapping[str, Any]]
_ENDED = re.compile(r"\b(SUCCEEDED|FAILED|CANCELED)\b")
_POLL_INTERVAL_S = 1.0
SETTLE_TIMEOUT_S = 60.0
"""Time allowed after a successful deployment for components to start and apply their configuration."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options that select the nucleus of this machine."""
    group = parser.add_argument_group(
        "nucleus", "by default greengrass-cli of a core device, where it is installed; --gglocal selects a local nucleus"
    )
    group.add_argument("--build", type=Path, default=ROOT / "greengrass-build", help="output of `edgeml build` (default: greengrass-build)")
    group.add_argument("--device-root", type=Path, default=DEVICE, metavar="DIR", help=f"root of the core device (default {DEVICE})")
    group.add_argument("--gglocal", type=Path, nargs="?", const=default_root(), metavar="ROOT", help="the gglocal that runs in this root")
    group.add_argument(
        "--wait", type=number(0, 10**6), default=900.0, metavar="SECONDS", help="follow the deployment for at most this long (default 900)"
    )


@dataclass(frozen=True)
class LocalTarget:
    """A nucleus of this machine.

    Attributes:
        root: directory with the components' work directories and logs.
        sudo: prefix of commands that read there.
    """

    cli: NucleusCli
    root: Path
    sudo: tuple[str, ...] = ()

    def read_json(self, component: str, file: str, since: float) -> Any:
        """Read a JSON file in a component's work directory; None if it is unreadable or was not written since a time (epoch, s)."""
        command = ["sh", "-c", 'stat -c %Y "$1" && cat "$1"', "sh", str(self.root / "work" / component / file)]
        result = subprocess.run([*self.sudo, *command], capture_output=True, text=True, check=False)
        try:
            at, _, text = result.stdout.partition("\n")
            return json.loads(text) if int(at) >= int(since) else None
        except ValueError:
            return None

    def last_error(self, component: str, since: float) -> str:
        """The last error that a component logged since a time (epoch, s), with the path of its log."""
        path = self.root / "logs" / f"{component}.log"
        found = subprocess.run([*self.sudo, "grep", "-a", "ERROR", str(path)], capture_output=True, check=False)
        error = deployment_outcome.last_error(found.stdout.decode(errors="replace"), since).removeprefix(f"{component}: ")
        return f"{error} (see {path})" if error else f"see {path}"


def target(given: argparse.Namespace) -> LocalTarget:
    """The nucleus selected on the command line.

    Raises:
        FleetError: there is no nucleus, or no build.
    """
    for folder in ("recipes", "artifacts"):
        if not (given.build / folder).is_dir():
            raise FleetError(f"{given.build} has no {folder}; create it with edgeml build, or choose another build with --build")
    command = given.device_root / "bin" / "greengrass-cli"
    if given.gglocal is None and command.exists():
        sudo = () if os.geteuid() == 0 else ("sudo",)
        return LocalTarget(NucleusCli([*sudo, str(command)]), given.device_root, sudo)
    root = given.gglocal or default_root()
    if not root.is_dir():
        raise FleetError(
            f"there is neither {command} nor a gglocal in {root}; on a core device, deploy aws.greengrass.Cli; otherwise start gglocal run,"
            " or give its root with --gglocal"
        )
    return LocalTarget(NucleusCli([sys.executable, "-m", "gglocal.cli.main"], ["--root", str(root)]), root)


def deploy(
    given: argparse.Namespace, target: LocalTarget, versions: Mapping[str, str], updates: Updates, say: Callable[[str], None]
) -> int:
    """Create the deployment and follow it.

    Args:
        versions: version of each root component, including all that are configured.

    Returns:
        The exit code: 0 if the components run as requested, otherwise 1.

    Raises:
        FleetError: the nucleus rejects the deployment.
    """
    arguments = ["deployment", "create", "--failure-handling-policy", "ROLLBACK"]
    arguments += ["--recipeDir", str((given.build / "recipes").absolute()), "--artifactDir", str((given.build / "artifacts").absolute())]
    arguments += [word for name, version in versions.items() for word in ("--merge", f"{name}={version}")]
    arguments += [word for name in given.remove for word in ("--remove", name)]
    if updates:
        upper = {name: {key.upper(): value for key, value in update.items() if value} for name, update in updates.items()}
        arguments += ["--update-config", json.dumps(upper)]
    before, started_at = {name: target.cli.component(name) for name in versions if name in config_check.OPTIONS}, time.time()
    created = re.search(r"Deployment Id: (\S+)", target.cli.call(*arguments))
    if created is None:
        raise FleetError(
            f"{target.cli} returned no deployment id; list the deployments with: {target.cli.command_line('deployment', 'list')}"
        )
    succeeded, text = follow(target.cli, created[1], given.wait, say)
    if not succeeded:
        for name in deployment_outcome.mentioned(versions, text):
            say(f"{name}: {target.last_error(name, started_at)}")
        return 1
    # Ignore the files of an earlier process with another version, even if it had the same configuration.
    since = {name: 0.0 if found is not None and found.version == versions[name] else started_at for name, found in before.items()}
    found_differences = list(differences(target, versions, updates, since))
    for sentence in found_differences:
        say(f"differs from the request: {sentence}")
    if not found_differences:
        say("the requested components are running" + (" with the requested configuration" if updates else ""))
    return 1 if found_differences else 0


def defaults(build: Path) -> Callable[[str, str], Mapping[str, Any] | None]:
    """A function that looks up a component's default configuration in a build; it returns None for an unknown component."""

    def of(name: str, version: str) -> Mapping[str, Any] | None:
        path = build / "recipes" / f"{name}-{version}.yaml"
        if not path.is_file():
            return None
        return load_recipe(path).default_configuration

    return of


def follow(cli: NucleusCli, deployment: str, seconds: float, say: Callable[[str], None]) -> tuple[bool, str]:
    """Report each state of a deployment until it has ended.

    Returns:
        Whether it succeeded, and the last state.
    """
    deadline, last = time.monotonic() + seconds, ""
    while True:
        # Retry even "cannot find": a deployment just accepted is unknown until the nucleus has stored it.
        text = cli.query("deployment", "status", "-i", deployment).strip()
        if text != last:
            last = text
            say(text)
        ended = _ENDED.search(text)
        if ended:
            return ended[1] == "SUCCEEDED", text
        if time.monotonic() >= deadline:
            command = cli.command_line("deployment", "status", "-i", deployment)
            raise FleetError(f"the deployment did not end within {seconds:g} s; check it with: {command}")
        time.sleep(_POLL_INTERVAL_S)


def differences(target: LocalTarget, versions: Mapping[str, str], updates: Updates, since: Mapping[str, float]) -> Iterator[str]:
    """Yield one sentence for each difference from a successful deployment, after waiting for components to settle.

    Args:
        since: for each of the suite's components, the time (epoch, s) from which its files are current.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    for name in [name for name in versions if not name.startswith("aws.greengrass.")]:
        while True:
            found = target.cli.component(name)
            found_differences = list(deployment_outcome.differences(name, versions[name], updates.get(name, {}), found))
            if not found_differences and name in since and found is not None:
                accepted, refused = (target.read_json(name, file, since[name]) for file in (LAST_GOOD, REFUSED))
                reason = deployment_outcome.refusal(found.configuration, accepted, refused)
                if reason is None:
                    found_differences = [f"{name} has not applied its configuration; see its log"]
                elif reason:
                    found_differences = [f"{name} rejects its configuration: {reason}"]
                    break
            if (
                not found_differences
                or (found is not None and found.state in deployment_outcome.FAILED_STATES)
                or time.monotonic() >= deadline
            ):
                break
            time.sleep(_POLL_INTERVAL_S)
        yield from found_differences
