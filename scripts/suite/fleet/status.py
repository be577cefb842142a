"""What the fleet runs and how it is: `scripts/fleet status`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from suite.build import ROOT
from suite.fleet import account
from suite.fleet.account import Account, Wanted
from suite.fleet.deploy import MODEL
from suite.fleet.errors import told
from suite.fleet.follow import WELL
from suite.fleet.groups import Groups

OURS = "com.edgeml."


@dataclass(frozen=True)
class Seen:
    """One core device.

    Attributes:
        status, at: its health as the service knows it, and when it last said so (ISO 8601, UTC).
        deployments: by group: what the device makes of the group's deployment, and why, where it gives a reason.
        components: version by component.
        ill: by component that does not run: its state, and why.
    """

    device: str
    status: str
    at: str
    deployments: dict[str, str] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=dict)
    ill: dict[str, str] = field(default_factory=dict)


def seen(core: dict[str, Any], executions: list[dict[str, Any]], installed: list[dict[str, Any]]) -> Seen:
    """From what the service says of a device."""
    deployments = {}
    for each in executions:
        reason = each.get("reason") or ""
        state = each["coreDeviceExecutionStatus"].lower().replace("_", " ")
        told = f": {reason}" if reason and state not in ("succeeded", "completed") else ""
        deployments[each["targetArn"].rsplit("/", 1)[-1]] = state + told
    at = core.get("lastStatusUpdateTimestamp")
    return Seen(
        core["coreDeviceThingName"], core["status"].lower(), at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else "", deployments,
        {each["componentName"]: each["componentVersion"] for each in sorted(installed, key=lambda each: each["componentName"])},
        {
            each["componentName"]: f"{each['lifecycleState']} {each.get('lifecycleStateDetails') or ''}".strip()
            for each in installed if each["lifecycleState"] not in WELL
        },
    )


def table(rows: Iterable[Seen]) -> list[str]:
    """Lines for people: a row for each device, and below it what is wrong."""
    head = ("device", "health", "last heard", "deployment", "components", "models")
    cells, notes = [head], [""]
    for row in rows:
        models = [f"{name.removeprefix(MODEL)} {version}" for name, version in row.components.items() if name.startswith(MODEL)]
        others = [
            f"{name.removeprefix(OURS)} {version}" for name, version in row.components.items()
            if name.startswith(OURS) and not name.startswith(MODEL)
        ]
        states = [f"{group} {state.partition(':')[0]}" for group, state in row.deployments.items()]
        mine = (", ".join(states) or "none", _versions(others), ", ".join(models) or "none")
        cells.append((row.device, row.status, row.at or "never", *mine))
        wrong = [f"{group}: {state}" for group, state in row.deployments.items() if ":" in state]
        notes.append("\n".join(f"    {text}" for text in wrong + [f"{name} is {state}" for name, state in row.ill.items()]))
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    lines = []
    for texts, note in zip(cells, notes, strict=True):
        lines.append("  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip())
        lines += note.splitlines()
    return lines


def _versions(others: list[str]) -> str:
    """`all 0.1.0` where the components have one version."""
    versions = {text.rpartition(" ")[2] for text in others}
    return "none" if not others else f"all {versions.pop()}" if len(versions) == 1 and len(others) > 1 else ", ".join(others)


def run(given: argparse.Namespace) -> int:
    """Do what the command line asks."""
    groups = Groups(Account(given.region or Wanted.read(ROOT).region))
    arn = groups.arn(given.group) if given.group else None
    rows = []
    for core in sorted(groups.devices(arn), key=lambda core: str(core["coreDeviceThingName"])):
        name = core["coreDeviceThingName"]
        rows.append(seen(core, groups.executions(name), groups.installed(name)))
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        for line in table(rows):
            print(line)
        ill = [row for row in rows if row.ill or row.status != "healthy"]
        print(f"{len(rows)} core devices, {len(ill)} not well")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="scripts/fleet", description="See what the fleet runs.")
    commands = made.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="core devices, their deployments, component and model versions, health")
    status.add_argument("--group", help="only the devices of this thing group")
    status.add_argument("--json", action="store_true", help="as JSON")
    account.arguments(status)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    return told("fleet", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
