"""greengrass-cli's verbs on a nucleus that runs: `deployment create|status|list` and `logs get`."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gglocal.api.control_server import ask
from gglocal.cli.arguments import LONGEST_S, number
from gglocal.deployment.queue import POLICIES, ROLLBACK, SUCCEEDED
from gglocal.errors import EXIT_BROKEN, EXIT_OK, DeploymentError, NucleusError
from gglocal.recipe.parser import read_document
from gglocal.root_dir import Root

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
_FOLLOW_S = 0.1
Out = Callable[[str], None]


def deployment_create(options: argparse.Namespace) -> int:
    """Ask for a deployment; with `--wait`, follow it to its end."""
    root = Root(options.root)
    (made,) = ask(root, create_request(options, merged(options.merge)))
    _say(f"Local deployment submitted! Deployment Id: {made['deploymentId']}")
    if options.wait is None:
        return EXIT_OK
    found = ended(root, made["deploymentId"], options.wait)
    _say("\n".join(status_lines(found)))
    return EXIT_OK if found["status"] == SUCCEEDED else EXIT_BROKEN


def deployment_status(options: argparse.Namespace) -> int:
    """What became of one."""
    for found in ask(Root(options.root), {"do": "deployments", "id": options.deploymentId}):
        _say("\n".join(status_lines(found)))
    return EXIT_OK


def deployment_list(options: argparse.Namespace) -> int:
    """All that the nucleus remembers."""
    for found in ask(Root(options.root), {"do": "deployments"}):
        _say("\n".join(status_lines(found)[:2]))
    return EXIT_OK


def merged(given: Sequence[str]) -> dict[str, str]:
    """Versions by component, of `--merge NAME=VERSION`.

    Raises:
        DeploymentError: one names no version.
    """
    merge = {}
    for text in given:
        name, equals, version = text.partition("=")
        if not (name and equals and version):
            raise DeploymentError(f"--merge {text!r} names no version; write --merge com.example.Name=1.0.0")
        merge[name] = version
    return merge


def create_request(options: argparse.Namespace, merge: dict[str, str]) -> dict[str, Any]:
    """What the control socket is asked for by `deployment create`.

    Raises:
        DeploymentError: the update is neither JSON nor a file with it.
    """
    return {
        "do": "create-deployment",
        "merge": merge,
        "remove": [name for each in options.remove for name in each.split(",")],
        "config": update_of(options.update_config),
        "on_failure": options.failure_handling_policy,
        "recipe_dirs": [str(Path(each).absolute()) for each in options.recipe_dir],
        "artifact_dirs": [str(Path(each).absolute()) for each in options.artifact_dir],
    }


def update_of(text: str | None) -> dict[str, Any]:
    """`--update-config`: JSON, or the name of a file with JSON or YAML."""
    if text is None:
        return {}
    try:
        read = json.loads(text) if text.lstrip().startswith("{") else read_document(Path(text))
    except ValueError as fault:
        raise DeploymentError(f"--update-config is no JSON ({fault}); give JSON, or the name of a file") from None
    if not isinstance(read, dict):
        raise DeploymentError('--update-config is no map; write {"com.example.A": {"MERGE": {"key": 1}, "RESET": ["/other"]}}')
    return read


def ended(root: Root, deployment: str, timeout: float) -> dict[str, Any]:
    """The deployment once it has ended.

    Raises:
        TimeoutError: it has not within `timeout` seconds.
    """
    give_up = time.monotonic() + timeout
    while True:
        (found,) = ask(root, {"do": "deployments", "id": deployment})
        if "deploymentStatusDetails" in found:
            return dict(found)
        if time.monotonic() >= give_up:
            raise TimeoutError(f"the deployment {deployment} is {found['status']} after {timeout:g} s")
        time.sleep(_FOLLOW_S)


def status_lines(deployment: dict[str, Any]) -> list[str]:
    """A deployment for people."""
    details = deployment.get("deploymentStatusDetails", {})
    lines = [f"{deployment['deploymentId']}: {deployment['status']}", f"  Created on: {deployment['createdOn']}"]
    if details:
        lines.append(f"  Detailed Status: {details['detailedDeploymentStatus']}")
    if "deploymentFailureCause" in details:
        lines.append(f"  Deployment Failure Cause: {details['deploymentFailureCause']}")
    return lines


def get_logs(folder: Path, filters: Sequence[str], follow: bool, most: int | None, out: Out) -> None:
    """The lines of all logs that pass every filter, in the order of the files; with `follow`, then what is appended.

    Raises:
        NucleusError: there are no logs, or a filter is no regular expression.
    """
    passes = [_filter(each) for each in filters]
    places: dict[Path, int] = {}

    def more() -> Iterable[str]:
        for path in sorted(folder.glob("*.log")):
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(places.get(path, 0))
                # A line that is still being written waits for its end.
                text = file.read()
                whole = text[: text.rfind("\n") + 1]
                places[path] = places.get(path, 0) + len(whole.encode())
            for line in whole.splitlines():
                if all(passed(f"[{path.stem}] {line}") for passed in passes):
                    yield f"[{path.stem}] {line}"

    lines = list(more())
    if not places:
        raise NucleusError(f"{folder}: there are no logs; start a nucleus with gglocal run, or give its --root")
    for line in lines if most is None else lines[max(0, len(lines) - most) :]:
        out(line)
    while follow:
        sys.stdout.flush()
        time.sleep(_FOLLOW_S)
        for line in more():
            out(line)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _filter(text: str) -> Callable[[str], bool]:
    """One `--filter`: alternatives with commas between; a level means itself and those above."""
    alternatives = []
    for each in text.split(","):
        if each.upper() in LEVELS:
            each = rf"\b({'|'.join(LEVELS[LEVELS.index(each.upper()) :])})\b"
        try:
            alternatives.append(re.compile(each))
        except re.error as fault:
            raise NucleusError(f"--filter {each!r} is no regular expression ({fault}); commas separate alternatives") from None
    return lambda line: any(each.search(line) for each in alternatives)


def create_options(parser: argparse.ArgumentParser) -> None:
    """The options of `deployment create`, as greengrass-cli spells them; those of the directories and `--merge` are elsewhere."""
    parser.add_argument("--remove", action="append", default=[], metavar="NAME", help="what is no longer to be deployed; may be repeated")
    parser.add_argument(
        "--update-config", "-c", metavar="JSON|FILE", help='{"NAME": {"MERGE": {...}, "RESET": ["/pointer"]}}, or a file with it'
    )
    parser.add_argument("--failure-handling-policy", "--failureHandlingPolicy", choices=POLICIES, default=ROLLBACK, help="default ROLLBACK")
    parser.add_argument("--groupId", "-g", help="taken, and changes nothing: there is one group")
    parser.add_argument("--runWith", action="append", help="taken, and changes nothing: components run as you")
    parser.add_argument("--systemLimits", help="taken, and changes nothing")
    parser.add_argument(
        "--wait", type=number(0, LONGEST_S), metavar="SECONDS", help="until it has ended; exit code 1 when it failed, 3 when it has not"
    )
