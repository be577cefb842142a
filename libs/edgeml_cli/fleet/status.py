"""What the fleet runs and how it is: `edgeml fleet status`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from edgeml_cli.build.package import COMPONENTS, ROOT
from edgeml_cli.fleet import aws_account
from edgeml_cli.fleet.aws_account import Account, Wanted
from edgeml_cli.fleet.deploy import MODEL
from edgeml_cli.fleet.errors import told
from edgeml_cli.fleet.health_reports import HealthReport, HealthReports
from edgeml_cli.fleet.rollout_monitor import WELL
from edgeml_cli.fleet.thing_groups import ThingGroups

OURS = "com.edgeml."


@dataclass(frozen=True)
class DeviceStatus:
    """One core device.

    Attributes:
        status, at: its health as the service knows it, and when it last said so (ISO 8601, UTC).
        deployments: by group: what the device makes of the group's deployment, and why, where it gives a reason.
        components: version by component.
        ill: by component that does not run: its state, and why.
        said: by component: what it last said of itself.
    """

    device: str
    status: str
    at: str
    deployments: dict[str, str] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=dict)
    ill: dict[str, str] = field(default_factory=dict)
    said: dict[str, HealthReport] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        return self.status == "healthy" and not self.ill and all(said.well for said in self.said.values())


def seen(core: dict[str, Any], executions: list[dict[str, Any]], installed: list[dict[str, Any]]) -> DeviceStatus:
    """From what the service says of a device."""
    deployments = {}
    for each in executions:
        reason = each.get("reason") or ""
        state = each["coreDeviceExecutionStatus"].lower().replace("_", " ")
        told = f": {reason}" if reason and state not in ("succeeded", "completed") else ""
        deployments[each["targetArn"].rsplit("/", 1)[-1]] = state + told
    at = core.get("lastStatusUpdateTimestamp")
    return DeviceStatus(
        core["coreDeviceThingName"],
        core["status"].lower(),
        at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else "",
        deployments,
        {each["componentName"]: each["componentVersion"] for each in sorted(installed, key=lambda each: each["componentName"])},
        {
            each["componentName"]: f"{each['lifecycleState']} {each.get('lifecycleStateDetails') or ''}".strip()
            for each in installed
            if each["lifecycleState"] not in WELL
        },
    )


def table(rows: Iterable[DeviceStatus]) -> list[str]:
    """Lines for people: a row for each device, and below it what is wrong."""
    head = ("device", "health", "last heard", "components say", "deployment", "components", "models")
    cells, notes = [head], [""]
    for row in rows:
        models = [f"{name.removeprefix(MODEL)} {version}" for name, version in row.components.items() if name.startswith(MODEL)]
        others = [
            f"{name.removeprefix(OURS)} {version}"
            for name, version in row.components.items()
            if name.startswith(OURS) and not name.startswith(MODEL)
        ]
        states = [f"{group} {state.partition(':')[0]}" for group, state in row.deployments.items()]
        mine = (", ".join(states) or "none", _versions(others), ", ".join(models) or "none")
        cells.append((row.device, row.status, row.at or "never", _own_words(row.said), *mine))
        wrong = [f"{group}: {state}" for group, state in row.deployments.items() if ":" in state]
        wrong += [f"{name} is {state}" for name, state in row.ill.items()]
        wrong += [f"{name} said at {said.at}: {'; '.join((said.state, *said.faults))}" for name, said in row.said.items() if not said.well]
        notes.append("\n".join(f"    {' '.join(text.split())}" for text in wrong))
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    lines = []
    for texts, note in zip(cells, notes, strict=True):
        lines.append("  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip())
        lines += note.splitlines()
    return lines


def _own_words(said: dict[str, HealthReport]) -> str:
    """`running`, or how many are not well; and the time of the oldest of the words."""
    if not said:
        return "nothing"
    bad = [each for each in said.values() if not each.well]
    what = f"{len(bad)} of {len(said)} not well" if bad else ", ".join(sorted({each.state for each in said.values()}))
    return f"{what} {min(each.at for each in said.values())}"


def _versions(others: list[str]) -> str:
    """`all 0.1.0` where the components have one version."""
    versions = {text.rpartition(" ")[2] for text in others}
    return "none" if not others else f"all {versions.pop()}" if len(versions) == 1 and len(others) > 1 else ", ".join(others)


def run(given: argparse.Namespace) -> int:
    """Do what the command line asks."""
    into = Account(given.region or Wanted.read(ROOT).region)
    groups = ThingGroups(into)
    arn = groups.arn(given.group) if given.group else None
    rows = []
    for core in sorted(groups.devices(arn), key=lambda core: str(core["coreDeviceThingName"])):
        name = core["coreDeviceThingName"]
        rows.append(seen(core, groups.executions(name), groups.installed(name)))
    wanted = {row.device: frozenset(row.components.keys() & COMPONENTS.keys()) for row in rows}
    if any(wanted.values()):
        said, why = HealthReports(into, given.data_bucket).last(wanted, datetime.now(timezone.utc))
        rows = [replace(row, said=dict(sorted(said[row.device].items()))) for row in rows]
        if why:
            # Not on standard output, which may be JSON; and no failure: what the service knows is shown all the same.
            print(f"edgeml fleet status: what components say of themselves is not all here: {why}", file=sys.stderr)
    if given.json:
        print(json.dumps({"devices": msgspec.to_builtins(rows), "not_well": sum(not row.well for row in rows)}))
    else:
        for line in table(rows):
            print(line)
        print(f"{len(rows)} core devices, {sum(not row.well for row in rows)} not well")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="edgeml fleet", description="See what the fleet runs.")
    commands = made.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="core devices, their deployments, component and model versions, health")
    status.add_argument("--group", help="only the devices of this thing group")
    status.add_argument("--data-bucket", metavar="NAME", help="where the components' own health is (default: that of edgeml cloud deploy)")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    aws_account.arguments(status)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done."""
    given = parser().parse_args(arguments)
    return told("edgeml fleet status", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
