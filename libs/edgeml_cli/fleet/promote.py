"""Moves the exact versions of a canary group on to another group: `edgeml fleet promote CANARY GROUP`."""

from __future__ import annotations

import argparse
import sys

from edgeml_cli.fleet import apply_deployment, aws_account
from edgeml_cli.fleet.deployment_plan import promoted
from edgeml_cli.fleet.errors import FleetError, told
from edgeml_cli.fleet.rollout_monitor import GOOD, ill
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


def proved(groups: ThingGroups, name: str, arn: str, identity: str) -> None:
    """
    Raises:
        FleetError: a device of the canary does not run what was deployed to it, or there is none.
    """
    devices = [each["coreDeviceThingName"] for each in groups.devices(arn)]
    if not devices:
        raise FleetError(f"the canary {name} has no core device, so nothing has proved good; add one to the group")
    faults = []
    for device in devices:
        found = next((each for each in groups.executions(device) if each["deploymentId"] == identity), None)
        status = found["coreDeviceExecutionStatus"] if found else "QUEUED"
        text = "" if status in GOOD else f"is {status}" + (f" ({found['reason']})" if found and found.get("reason") else "")
        text = text or ill(groups.installed(device))
        faults += [f"{device} {text}"] if text else []
    if faults:
        raise FleetError(f"the canary {name} has not proved good: {'; '.join(faults)}; nothing was deployed")


def run(given: argparse.Namespace) -> int:
    """Do what the command line asks."""
    if given.canary == given.group:
        raise FleetError("the canary and the group are the same; name two groups")
    reviser = apply_deployment.DeploymentApplier(given.region, say)
    canary, arn = reviser.groups.arn(given.canary), reviser.groups.arn(given.group)
    identity, good = reviser.current(canary)
    if good is None:
        raise FleetError(f"the canary {given.canary} has no deployment; deploy to it first: edgeml fleet deploy --group {given.canary}")
    proved(reviser.groups, given.canary, canary, identity)
    running, before = reviser.current(arn)
    return reviser.run(given, arn, running, before, promoted(good, before))


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 when it could not be done or failed on a device."""
    given = parser().parse_args(arguments)
    return told("edgeml fleet promote", lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
