"""The commands of greengrass-cli: `deployment create|status|list` and `logs get`."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gglocal.api.control_server import send_request
from gglocal.cli.arguments import MAX_SECONDS, number
from gglocal.deployment.queue import POLICIES, ROLLBACK, SUCCEEDED
from gglocal.errors import EXIT_BROKEN, EXIT_OK, DeploymentError, NucleusError
from gglocal.recipe.parser import read_document
from gglocal.root_dir import Root

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
_FOLLOW_S = 0.1
Out = Callable[[str], None]


def deployment_create(options: argparse.Namespace) -> int:
    """Create a deployment; with `--wait`, wait until it ends."""
    root = Root(options.root)
    (created,) = send_request(root, create_request(options, merge_versions(options.merge)))
    _print(f"Local deployment submitted! Deployment Id: {created['deploymentId']}")
    if options.wait is None:
        return EXIT_OK
    found = wait_until_ended(root, created["deploymentId"], options.wait)
    _print("\n".join(status_lines(found)))
    return EXIT_OK if found["status"] == SUCCEEDED else EXIT_BROKEN


def deployment_status(options: argparse.Namespace) -> int:
    """Print the status of one deployment."""
    for found in send_request(Root(options.root), {"command": "deployments", "id": options.deploymentId}):
        _print("\n".join(status_lines(found)))
    return EXIT_OK


def deployment_list(options: argparse.Namespace) -> int:
    """Print all deployments that the nucleus remembers."""
    for found in send_request(Root(options.root), {"command": "deployments"}):
        _print("\n".join(status_lines(found)[:2]))
    return EXIT_OK


def merge_versions(arguments: Sequence[str]) -> dict[str, str]:
    """Versions by component, from `--merge NAME=VERSION`.

    Raises:
        DeploymentError: an argument has no version.
    """
    merge = {}
    for text in arguments:
        name, equals, version = text.partition("=")
        if not (name and equals and version):
            raise DeploymentError(f"--merge {text!r} has no version; write --merge com.example.Name=1.0.0")
        merge[name] = version
    return merge


def create_request(options: argparse.Namespace, merge: dict[str, str]) -> dict[str, Any]:
    """The request of `deployment create` for the control socket.

    Raises:
        DeploymentError: `--update-config` is invalid.
    """
    return {
        "command": "create-deployment",
        "merge": merge,
        "remove": [name for each in options.remove for name in each.split(",")],
        "config": configuration_update(options.update_config),
        "on_failure": options.failure_handling_policy,
        "recipe_dirs": [str(Path(each).absolute()) for each in options.recipe_dir],
        "artifact_dirs": [str(Path(each).absolute()) for each in options.artifact_dir],
    }


def configuration_update(text: str | None) -> dict[str, Any]:
    """Parse `--update-config`: JSON, or the name of a file with JSON or YAML."""
    if text is None:
        return {}
    try:
        read = json.loads(text) if text.lstrip().startswith("{") else read_document(Path(text))
    except ValueError as error:
        raise DeploymentError(f"--update-config is not valid JSON ({error}); pass JSON, or the name of a file") from None
    if not isinstance(read, dict):
        raise DeploymentError('--update-config must be a map, such as {"com.example.A": {"MERGE": {"key": 1}, "RESET": ["/other"]}}')
    return read


def wait_until_ended(root: Root, deployment: str, timeout: float) -> dict[str, Any]:
    """Wait until the deployment has ended; returns its status.

    Raises:
        TimeoutError: it has not ended within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        (found,) = send_request(root, {"command": "deployments", "id": deployment})
        if "deploymentStatusDetails" in found:
            return dict(found)
        if time.monotonic() >= deadline:
            raise TimeoutError(f"deployment {deployment} is still {found['status']} after {timeout:g} s")
        time.sleep(_FOLLOW_S)


def status_lines(deployment: dict[str, Any]) -> list[str]:
    """The status of a deployment as lines of text."""
    details = deployment.get("deploymentStatusDetails", {})
    lines = [f"{deployment['deploymentId']}: {deployment['status']}", f"  Created on: {deployment['createdOn']}"]
    if details:
        lines.append(f"  Detailed Status: {details['detailedDeploymentStatus']}")
    if "deploymentFailureCause" in details:
        lines.append(f"  Deployment Failure Cause: {details['deploymentFailureCause']}")
    return lines


def get_logs(folder: Path, filters: Sequence[str], follow: bool, max_lines: int | None, out: Out) -> None:
    """Output the lines of all logs that match every filter, in the order of the files; with `follow`, continue with new lines.

    Raises:
        NucleusError: there are no logs, or a filter is not a regular expression.
    """
    matchers = [_filter(each) for each in filters]
    positions: dict[Path, int] = {}

    def new_lines() -> Iterable[str]:
        for path in sorted(folder.glob("*.log")):
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(positions.get(path, 0))
                # A line that is still being written is left for the next time.
                text = file.read()
                whole = text[: text.rfind("\n") + 1]
                positions[path] = positions.get(path, 0) + len(whole.encode())
            for line in whole.splitlines():
                if all(matches(f"[{path.stem}] {line}") for matches in matchers):
                    yield f"[{path.stem}] {line}"

    lines = list(new_lines())
    if not positions:
        raise NucleusError(f"{folder}: no logs found; start a nucleus with gglocal run, or pass its --root")
    for line in lines if max_lines is None else lines[max(0, len(lines) - max_lines) :]:
        out(line)
    while follow:
        sys.stdout.flush()
        time.sleep(_FOLLOW_S)
        for line in new_lines():
            out(line)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _filter(text: str) -> Callable[[str], bool]:
    """Parse one `--filter`: alternatives separated by commas; a level includes all higher levels."""
    alternatives = []
    for each in text.split(","):
        if each.upper() in LEVELS:
            each = rf"\b({'|'.join(LEVELS[LEVELS.index(each.upper()) :])})\b"
        try:
            alternatives.append(re.compile(each))
        except re.error as error:
            raise NucleusError(f"--filter {each!r} is not a regular expression ({error}); commas separate alternatives") from None
    return lambda line: any(each.search(line) for each in alternatives)


def create_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `deployment create`, as greengrass-cli names them, except the directories and `--merge`."""
    parser.add_argument("--remove", action="append", default=[], metavar="NAME", help="root component to remove; repeatable")
    parser.add_argument(
        "--update-config", "-c", metavar="JSON|FILE", help='{"NAME": {"MERGE": {...}, "RESET": ["/pointer"]}}, or the name of a file'
    )
    parser.add_argument(
        "--failure-handling-policy", "--failureHandlingPolicy", choices=POLICIES, default=ROLLBACK, help="default: ROLLBACK"
    )
    parser.add_argument("--groupId", "-g", help="ignored: there is one group")
    parser.add_argument("--runWith", action="append", help="ignored: components run as the current user")
    parser.add_argument("--systemLimits", help="ignored")
    parser.add_argument(
        "--wait",
        type=number(0, MAX_SECONDS),
        metavar="SECONDS",
        help="wait until the deployment has ended; exit code 1 if it failed, 3 if it has not ended",
    )
