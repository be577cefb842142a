"""The nucleus of this machine as a target: greengrass-cli on a core device, or a gglocal that runs. Both take the same verbs."""

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
_ASK_AGAIN_S = 1.0
SETTLED_S = 60.0
"""How long, after a deployment that succeeded, its components may take to run and to take up their configurations."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `--local` adds to the command line."""
    group = parser.add_argument_group("with --local", "greengrass-cli is taken where it is installed, unless --gglocal names a root")
    group.add_argument("--build", type=Path, default=ROOT / "greengrass-build", help="what `edgeml build` made (default: greengrass-build)")
    group.add_argument("--device-root", type=Path, default=DEVICE, metavar="DIR", help=f"root of the core device (default {DEVICE})")
    group.add_argument("--gglocal", type=Path, nargs="?", const=default_root(), metavar="ROOT", help="the gglocal that runs in this root")
    group.add_argument("--wait", type=number(0, 10**6), default=900.0, metavar="SECONDS", help="follow it so long (default 900)")


@dataclass(frozen=True)
class LocalTarget:
    """A nucleus of this machine.

    Attributes:
        root: holds the components' work directories and their logs.
        sudo: what goes before a command that reads there.
    """

    cli: NucleusCli
    root: Path
    sudo: tuple[str, ...] = ()

    def kept(self, component: str, file: str, since: float) -> Any:
        """What a component has written to a JSON file of its work directory since then (epoch, s); None: nothing that can be read."""
        words = ["sh", "-c", 'stat -c %Y "$1" && cat "$1"', "sh", str(self.root / "work" / component / file)]
        read = subprocess.run([*self.sudo, *words], capture_output=True, text=True, check=False)
        try:
            at, _, text = read.stdout.partition("\n")
            return json.loads(text) if int(at) >= int(since) else None
        except ValueError:
            return None

    def last_error(self, component: str, since: float) -> str:
        """The last error that a component has logged since then (epoch, s), and where its log is."""
        path = self.root / "logs" / f"{component}.log"
        found = subprocess.run([*self.sudo, "grep", "-a", "ERROR", str(path)], capture_output=True, check=False)
        error = deployment_outcome.last_error(found.stdout.decode(errors="replace"), since).removeprefix(f"{component}: ")
        return f"{error} (see {path})" if error else f"see {path}"


def target(given: argparse.Namespace) -> LocalTarget:
    """The nucleus that a command line names.

    Raises:
        FleetError: there is none, or no build for it.
    """
    for folder in ("recipes", "artifacts"):
        if not (given.build / folder).is_dir():
            raise FleetError(f"{given.build} has no {folder}; make it with edgeml build, or name another with --build")
    command = given.device_root / "bin" / "greengrass-cli"
    if given.gglocal is None and command.exists():
        sudo = () if os.geteuid() == 0 else ("sudo",)
        return LocalTarget(NucleusCli([*sudo, str(command)]), given.device_root, sudo)
    root = given.gglocal or default_root()
    if not root.is_dir():
        raise FleetError(
            f"there is neither {command} nor a gglocal in {root}; on a core device deploy aws.greengrass.Cli, or start gglocal run, "
            "or name its root with --gglocal"
        )
    return LocalTarget(NucleusCli([sys.executable, "-m", "gglocal.cli.main"], ["--root", str(root)]), root)


def deploy(given: argparse.Namespace, on: LocalTarget, versions: Mapping[str, str], updates: Updates, say: Callable[[str], None]) -> int:
    """Create the deployment and follow it; 0 when what was asked for runs, 1 when not.

    Args:
        versions: of everything that is deployed for its own sake; what is configured is among it.

    Raises:
        FleetError: the nucleus refuses.
    """
    words = ["deployment", "create", "--failure-handling-policy", "ROLLBACK"]
    words += ["--recipeDir", str((given.build / "recipes").absolute()), "--artifactDir", str((given.build / "artifacts").absolute())]
    words += [word for name, version in versions.items() for word in ("--merge", f"{name}={version}")]
    words += [word for name in given.remove for word in ("--remove", name)]
    if updates:
        upper = {name: {key.upper(): value for key, value in update.items() if value} for name, update in updates.items()}
        words += ["--update-config", json.dumps(upper)]
    before, began = {name: on.cli.component(name) for name in versions if name in config_check.OPTIONS}, time.time()
    made = re.search(r"Deployment Id: (\S+)", on.cli.call(*words))
    if made is None:
        raise FleetError(f"{on.cli} named no deployment; ask it: deployment list")
    succeeded, text = follow(on.cli, made[1], given.wait, say)
    if not succeeded:
        for name in deployment_outcome.named(versions, text):
            say(f"{name}: {on.last_error(name, began)}")
        return 1
    # What a process of another version thought of the same configuration does not count.
    since = {name: 0.0 if found is not None and found.version == versions[name] else began for name, found in before.items()}
    unmet = list(compare(on, versions, updates, since))
    for sentence in unmet:
        say(f"not as asked: {sentence}")
    if not unmet:
        say("what was asked for runs" + (", and is configured as asked" if updates else ""))
    return 1 if unmet else 0


def defaults(build: Path) -> Callable[[str, str], Mapping[str, Any] | None]:
    """Where the default configuration of a component of a build is looked up; None: it is not of this build."""

    def of(name: str, version: str) -> Mapping[str, Any] | None:
        path = build / "recipes" / f"{name}-{version}.yaml"
        if not path.is_file():
            return None
        return load_recipe(path).default_configuration

    return of


def follow(cli: NucleusCli, deployment: str, seconds: float, say: Callable[[str], None]) -> tuple[bool, str]:
    """Say each state of a deployment until it has ended; whether it succeeded, and what was said last."""
    give_up, said = time.monotonic() + seconds, ""
    while True:
        # Not even "cannot find" is final: a deployment that was just taken is unknown until the nucleus has written it down.
        text = cli.ask("deployment", "status", "-i", deployment).strip()
        if text != said:
            said = text
            say(text)
        ended = _ENDED.search(text)
        if ended:
            return ended[1] == "SUCCEEDED", text
        if time.monotonic() >= give_up:
            raise FleetError(f"the deployment has not ended within {seconds:g} s; ask again with: deployment status -i {deployment}")
        time.sleep(_ASK_AGAIN_S)


def compare(on: LocalTarget, versions: Mapping[str, str], updates: Updates, since: Mapping[str, float]) -> Iterator[str]:
    """What of a deployment that succeeded is not so, a sentence each; what has yet to come is waited for.

    Args:
        since: from when on (epoch, s) the word of each of the suite's components counts.
    """
    give_up = time.monotonic() + SETTLED_S
    for name in [name for name in versions if not name.startswith("aws.greengrass.")]:
        while True:
            found = on.cli.component(name)
            unmet = list(deployment_outcome.unmet(name, versions[name], updates.get(name, {}), found))
            if not unmet and name in since and found is not None:
                accepted, refused = (on.kept(name, file, since[name]) for file in (LAST_GOOD, REFUSED))
                said = deployment_outcome.verdict(found.configuration, accepted, refused)
                if said is None:
                    unmet = [f"{name} has not taken up its configuration; see its log"]
                elif said:
                    unmet = [f"{name} refuses its configuration: {said}"]
                    break
            if not unmet or (found is not None and found.state in deployment_outcome.LOST) or time.monotonic() >= give_up:
                break
            time.sleep(_ASK_AGAIN_S)
        yield from unmet
