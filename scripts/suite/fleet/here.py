"""The nucleus of this machine as a target: greengrass-cli on a core device, or a gglocal that runs. Both take the same verbs."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gglocal.arguments import number
from gglocal.recipe import load_recipe
from gglocal.root import default_root
from suite.build import ROOT
from suite.fleet.errors import FleetError

DEVICE = Path("/greengrass/v2")
_ENDED = re.compile(r"\b(SUCCEEDED|FAILED|CANCELED)\b")
_ASK_AGAIN_S = 1.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `--local` adds to the command line."""
    group = parser.add_argument_group("with --local", "greengrass-cli is taken where it is installed, unless --gglocal names a root")
    group.add_argument("--build", type=Path, default=ROOT / "greengrass-build", help="what scripts/build made (default: greengrass-build)")
    group.add_argument("--device-root", type=Path, default=DEVICE, metavar="DIR", help=f"root of the core device (default {DEVICE})")
    group.add_argument("--gglocal", type=Path, nargs="?", const=default_root(), metavar="ROOT", help="the gglocal that runs in this root")
    group.add_argument("--wait", type=number(0, 10**6), default=900.0, metavar="SECONDS", help="follow it so long (default 900)")


def deploy(given: argparse.Namespace, versions: Mapping[str, str], updates: Mapping[str, Mapping[str, Any]]) -> int:
    """Create the deployment and follow it; 0 when it has succeeded, 1 when not.

    Raises:
        FleetError: there is no build or no nucleus, or the nucleus refuses.
    """
    for folder in ("recipes", "artifacts"):
        if not (given.build / folder).is_dir():
            raise FleetError(f"{given.build} has no {folder}; make it with scripts/build, or name another with --build")
    command = nucleus(given)
    words = ["deployment", "create"]
    words += ["--recipeDir", str((given.build / "recipes").absolute()), "--artifactDir", str((given.build / "artifacts").absolute())]
    words += [word for name, version in versions.items() for word in ("--merge", f"{name}={version}")]
    words += [word for name in given.remove for word in ("--remove", name)]
    if updates:
        upper = {name: {key.upper(): value for key, value in update.items() if value} for name, update in updates.items()}
        words += ["--update-config", json.dumps(upper)]
    made = re.search(r"Deployment Id: (\S+)", call(command, words))
    if made is None:
        raise FleetError(f"{' '.join(command)} named no deployment; ask it: deployment list")
    return follow(command, made[1], given.wait)


def defaults(build: Path) -> Callable[[str, str], Mapping[str, Any] | None]:
    """Where the default configuration of a component of a build is looked up; None: it is not of this build."""
    def of(name: str, version: str) -> Mapping[str, Any] | None:
        path = build / "recipes" / f"{name}-{version}.yaml"
        if not path.is_file():
            return None
        return load_recipe(path).default_configuration

    return of


def nucleus(given: argparse.Namespace) -> list[str]:
    """How the nucleus of this machine is spoken to.

    Raises:
        FleetError: there is none.
    """
    command = given.device_root / "bin" / "greengrass-cli"
    if given.gglocal is None and command.exists():
        return [str(command)] if os.geteuid() == 0 else ["sudo", str(command)]
    root = given.gglocal or default_root()
    if not root.is_dir():
        raise FleetError(
            f"there is neither {command} nor a gglocal in {root}; on a core device deploy aws.greengrass.Cli, or start gglocal run, "
            "or name its root with --gglocal"
        )
    return [sys.executable, "-m", "gglocal.cli", "--root", str(root)]


def follow(command: list[str], deployment: str, seconds: float) -> int:
    """Say each state of a deployment until it has ended."""
    give_up, said = time.monotonic() + seconds, ""
    while True:
        text = call(command, ["deployment", "status", "-i", deployment]).strip()
        if text != said:
            said = text
            print(text, flush=True)
        ended = _ENDED.search(text)
        if ended:
            return 0 if ended[1] == "SUCCEEDED" else 1
        if time.monotonic() >= give_up:
            raise FleetError(f"the deployment has not ended within {seconds:g} s; ask again with: deployment status -i {deployment}")
        time.sleep(_ASK_AGAIN_S)


def call(command: list[str], words: list[str]) -> str:
    """What the nucleus's command says."""
    # gglocal takes its root behind the verbs.
    whole = [*command[:3], *words, *command[3:]] if command[0] == sys.executable else [*command, *words]
    ran = subprocess.run(whole, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        last = (ran.stderr.strip() or ran.stdout.strip() or "it said nothing").splitlines()[-1]
        raise FleetError(f"the nucleus refuses: {last.removeprefix('gglocal: ')}")
    return ran.stdout
