"""Follows a deployment on each device until it has ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from edgeml_cli.fleet.errors import FleetError
from edgeml_cli.fleet.thing_groups import ThingGroups
from edgeml_cli.status_line import steps

SUCCESS = {"SUCCEEDED", "COMPLETED"}
FAILURE = {"FAILED", "REJECTED", "TIMED_OUT", "CANCELED"}
HEALTHY_STATES = {"RUNNING", "FINISHED"}
MAX_COMPONENT_CHECKS = 5
"""Checks of the components of a device that reported success, before a difference counts as a failure."""
CALLS_PER_S = 5.0
"""Highest rate of ListEffectiveDeployments calls: a large group is polled less often."""


class RolloutMonitor:
    """The latest deployment status of each device. Pure."""

    def __init__(self) -> None:
        self._statuses: dict[str, tuple[str, str]] = {}

    def update(self, device: str, status: str, reason: str) -> str:
        """Record a status; returns a line for the user, or an empty text if the status has not changed."""
        if self._statuses.get(device, ("", ""))[0] == status:
            return ""
        self._statuses[device] = (status, reason)
        return f"{device}: {status.lower().replace('_', ' ')}" + (f": {reason}" if status in FAILURE and reason else "")

    @property
    def pending(self) -> list[str]:
        """The devices that have not finished."""
        return [device for device, (status, _) in self._statuses.items() if status not in SUCCESS | FAILURE]

    @property
    def queued(self) -> list[str]:
        """The devices that have not started."""
        return [device for device, (status, _) in self._statuses.items() if status == "QUEUED"]

    @property
    def failed(self) -> dict[str, str]:
        """The reason for each device that failed or was canceled."""
        return {
            device: f"{status.lower().replace('_', ' ')}: {reason or 'no reason given; see its greengrass.log'}"
            for device, (status, reason) in self._statuses.items()
            if status in FAILURE
        }

    @property
    def done(self) -> int:
        """The number of devices that have finished."""
        return len(self._statuses) - len(self.pending)

    @property
    def counts(self) -> str:
        """The number of devices by status, such as `1 queued, 2 succeeded`."""
        count = Counter(status.lower().replace("_", " ") for status, _ in self._statuses.values())
        return ", ".join(f"{n} {status}" for status, n in sorted(count.items()))

    def summary(self) -> str:
        """The progress of all devices in one line."""
        return f"{self.done} of {len(self._statuses)} devices done: {self.counts}"


def follow(
    groups: ThingGroups,
    arn: str,
    identity: str,
    say: Callable[[str], None],
    minutes: float,
    every_s: float,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    expected: Mapping[str, str] | None = None,
) -> None:
    """Report the deployment status of each device until all have finished, then compare their components with the expected ones.

    Args:
        expected: version of each component of the deployment.

    Raises:
        FleetError: the deployment failed on a device, with the reason; or a device did not finish in time.
    """
    devices = [each["coreDeviceThingName"] for each in groups.devices(arn)]
    if not devices:
        say("the group has no core devices yet; a device that joins the group receives this deployment")
        return
    progress, end = RolloutMonitor(), clock() + 60 * minutes
    for device in devices:
        progress.update(device, "QUEUED", "")
    while True:
        # Read before the devices' statuses: a status reported after the cancellation takes precedence.
        ended = groups.deployment(identity)["deploymentStatus"] == "CANCELED"
        for device in progress.pending:
            found = next((each for each in groups.executions(device) if each["deploymentId"] == identity), None)
            if found is not None:
                line = progress.update(device, found["coreDeviceExecutionStatus"], _reason(found))
                if line:
                    say(f"  {line}")
        if ended:
            for device in progress.queued:
                progress.update(device, "CANCELED", "the rollout ended before this device started")
        steps(progress.counts, progress.done, len(devices))
        if not progress.pending or clock() >= end:
            break
        wait(max(every_s, len(progress.pending) / CALLS_PER_S))
    say(progress.summary())
    faults = dict(progress.failed)
    for device in devices:
        if device not in faults and device not in progress.pending:
            text = component_faults(groups.installed(device), expected)
            for _ in range(MAX_COMPONENT_CHECKS if text else 0):  # a device may report its components after its success
                wait(every_s)
                text = component_faults(groups.installed(device), expected)
                if not text:
                    break
            if text:
                faults[device] = text
    if faults:
        raise FleetError("the deployment failed: " + "; ".join(f"{device} {text}" for device, text in faults.items()))
    if progress.pending:
        raise FleetError(
            f"{', '.join(progress.pending)} did not finish within {minutes:g} minutes, and will apply the deployment when they reconnect;"
            " see edgeml fleet status"
        )


def component_faults(installed: list[Mapping[str, Any]] | list[dict[str, Any]], expected: Mapping[str, str] | None = None) -> str:
    """The components that are not running, with the reason, or that differ from the deployment; empty if there are none.

    Args:
        expected: version of each component of the deployment. Each must be a root component: the classic nucleus ignores
            a deployment's configuration for a component that is only a dependency.
    """
    faults = [
        f"has {each['componentName']} {each['componentVersion']} {each['lifecycleState']}"
        + (f" ({each['lifecycleStateDetails']})" if each.get("lifecycleStateDetails") else "")
        for each in installed
        if each["lifecycleState"] not in HEALTHY_STATES
    ]
    by_name = {each["componentName"]: each for each in installed}
    for name, version in (expected or {}).items():
        each = by_name.get(name)
        if each is None:
            faults.append(f"has no {name}")
        elif each["componentVersion"] != version:
            faults.append(f"has {name} {each['componentVersion']} instead of {version}")
        elif not each.get("isRoot", True):
            faults.append(f"has {name} only as a dependency, and ignores its configuration")
    return ", ".join(faults)


def _reason(found: Mapping[str, Any]) -> str:
    details = found.get("statusDetails") or {}
    return " ".join(" ".join(filter(None, (found.get("reason"), ", ".join(details.get("errorStack") or ())))).split())
