"""Shows the core devices of a fleet with their deployments, versions and health: `edgeml fleet status`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from edgeml_cli.build.package import COMPONENTS, MODEL_PREFIX, ROOT
from edgeml_cli.fleet import aws_account
from edgeml_cli.fleet.aws_account import Account, PublishConfig
from edgeml_cli.fleet.errors import report_errors
from edgeml_cli.fleet.health_reports import HealthReport, HealthReports
from edgeml_cli.fleet.rollout_monitor import HEALTHY_STATES
from edgeml_cli.fleet.thing_groups import ThingGroups

PREFIX = "com.edgeml."


@dataclass(frozen=True)
class DeviceStatus:
    """One core device.

    Attributes:
        status, at: health according to Greengrass, and the time of that report (ISO 8601, UTC; empty if there is none).
        deployments: status of the group's deployment on the device, with the reason of a failure, by group.
        components: version by component.
        component_faults: lifecycle state and details of each component that is not running.
        health_reports: latest health report by component.
    """

    device: str
    status: str
    at: str
    deployments: dict[str, str] = field(default_factory=dict)
    components: dict[str, str] = field(default_factory=dict)
    component_faults: dict[str, str] = field(default_factory=dict)
    health_reports: dict[str, HealthReport] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        return self.status == "healthy" and not self.component_faults and all(report.healthy for report in self.health_reports.values())


def device_status(core: dict[str, Any], executions: list[dict[str, Any]], installed: list[dict[str, Any]]) -> DeviceStatus:
    """Build the status of a device from the responses of Greengrass."""
    deployments = {}
    for each in executions:
        reason = each.get("reason") or ""
        state = each["coreDeviceExecutionStatus"].lower().replace("_", " ")
        suffix = f": {reason}" if reason and state not in ("succeeded", "completed") else ""
        deployments[each["targetArn"].rsplit("/", 1)[-1]] = state + suffix
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
            if each["lifecycleState"] not in HEALTHY_STATES
        },
    )


def table(rows: Iterable[DeviceStatus]) -> list[str]:
    """A table for people: a row for each device, followed by its faults."""
    head = ("device", "health", "last report", "component health", "deployment", "components", "models")
    cells, notes = [head], [""]
    for row in rows:
        models = [
            f"{name.removeprefix(MODEL_PREFIX)} {version}" for name, version in row.components.items() if name.startswith(MODEL_PREFIX)
        ]
        others = [
            f"{name.removeprefix(PREFIX)} {version}"
            for name, version in row.components.items()
            if name.startswith(PREFIX) and not name.startswith(MODEL_PREFIX)
        ]
        states = [f"{group} {state.partition(':')[0]}" for group, state in row.deployments.items()]
        installed = (", ".join(states) or "none", _versions(others), ", ".join(models) or "none")
        cells.append((row.device, row.status, row.at or "never", _health_summary(row.health_reports), *installed))
        faults = [f"deployment to {group} {state}" for group, state in row.deployments.items() if ":" in state]
        faults += [f"{name} is {state}" for name, state in row.component_faults.items()]
        faults += [
            f"{name} reported at {report.at}: {'; '.join((report.state, *report.faults))}"
            for name, report in row.health_reports.items()
            if not report.healthy
        ]
        notes.append("\n".join(f"    {' '.join(text.split())}" for text in faults))
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    lines = []
    for texts, note in zip(cells, notes, strict=True):
        lines.append("  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip())
        lines += note.splitlines()
    return lines


def _health_summary(reports: dict[str, HealthReport]) -> str:
    """The states of the components, or the number of unhealthy ones, with the time of the oldest report."""
    if not reports:
        return "no reports"
    unhealthy = [report for report in reports.values() if not report.healthy]
    states = ", ".join(sorted({report.state for report in reports.values()}))
    text = f"{len(unhealthy)} of {len(reports)} unhealthy" if unhealthy else states
    return f"{text}, {min(report.at for report in reports.values())}"


def _versions(others: list[str]) -> str:
    """`all 0.1.0` if all components have the same version."""
    versions = {text.rpartition(" ")[2] for text in others}
    return "none" if not others else f"all {versions.pop()}" if len(versions) == 1 and len(others) > 1 else ", ".join(others)


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    account = Account(given.region or PublishConfig.read(ROOT).region)
    groups = ThingGroups(account)
    arn = groups.arn(given.group) if given.group else None
    rows = []
    for core in sorted(groups.devices(arn), key=lambda core: str(core["coreDeviceThingName"])):
        name = core["coreDeviceThingName"]
        rows.append(device_status(core, groups.executions(name), groups.installed(name)))
    expected = {row.device: frozenset(row.components.keys() & COMPONENTS.keys()) for row in rows}
    if any(expected.values()):
        reports, problem = HealthReports(account, given.data_bucket).latest(expected, datetime.now(timezone.utc))
        rows = [replace(row, health_reports=dict(sorted(reports[row.device].items()))) for row in rows]
        if problem:
            # A warning on standard error, because standard output may be JSON; the rest of the status is still shown.
            print(f"edgeml fleet status: health reports are incomplete: {problem}", file=sys.stderr)
    if given.json:
        print(json.dumps({"devices": msgspec.to_builtins(rows), "unhealthy": sum(not row.healthy for row in rows)}))
    else:
        for line in table(rows):
            print(line)
        print(f"{len(rows)} core device{'' if len(rows) == 1 else 's'}, {sum(not row.healthy for row in rows)} unhealthy")
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
    return report_errors("edgeml fleet status", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
