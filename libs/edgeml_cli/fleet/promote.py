"""Deploys the exact versions of a canary group to another group: `edgeml fleet promote CANARY GROUP`."""

from __future__ import annotations

import argparse
import sys

from edgeml_cli.fleet import apply_deployment, aws_account
from edgeml_cli.fleet.deployment_plan import promotion
from edgeml_cli.fleet.errors import FleetError, report_errors
from edgeml_cli.fleet.rollout_monitor import SUCCESS, component_faults
from edgeml_cli.fleet.thing_groups import ThingGroups


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="edgeml fleet promote",
        description="Move the canary group's exact versions on. The other group keeps its own configuration.",
    )
    made.add_argument("canary", metavar="CANARY", help="the group whose versions have proved good")
    made.add_argument("group", metavar="GROUP", help="the group that gets them")
    aws_account.arguments(made)
    apply_deployment.arguments(made)
    return made


def require_healthy(groups: ThingGroups, name: str, arn: str, identity: str) -> None:
    """Check that every device of the canary runs the deployment.

    Raises:
        FleetError: a device does not run it, or the canary has no devices.
    """
    devices = [each["coreDeviceThingName"] for each in groups.devices(arn)]
    if not devices:
        raise FleetError(f"the canary {name} has no core devices, so no version has been proven there; add a device to the group")
    faults = []
    for device in devices:
        found = next((each for each in groups.executions(device) if each["deploymentId"] == identity), None)
        status = found["coreDeviceExecutionStatus"] if found else "QUEUED"
        text = "" if status in SUCCESS else f"is {status}" + (f" ({found['reason']})" if found and found.get("reason") else "")
        text = text or component_faults(groups.installed(device))
        faults += [f"{device} {text}"] if text else []
    if faults:
        raise FleetError(f"the canary {name} is not healthy: {'; '.join(faults)}; nothing was deployed")


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    if given.canary == given.group:
        raise FleetError("the canary and the group are the same; name two groups")
    applier = apply_deployment.DeploymentApplier(given.region, say)
    canary, arn = applier.groups.arn(given.canary), applier.groups.arn(given.group)
    identity, proven = applier.current(canary)
    if proven is None:
        raise FleetError(f"the canary {given.canary} has no deployment; deploy to it first: edgeml fleet deploy --group {given.canary}")
    require_healthy(applier.groups, given.canary, canary, identity)
    running, before = applier.current(arn)
    return applier.run(given, arn, running, before, promotion(proven, before))


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done or failed on a device."""
    given = parser().parse_args(arguments)
    return report_errors("edgeml fleet promote", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
