"""How a deployment goes on each device, until it is over."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from edgeml_cli.fleet.errors import FleetError
from edgeml_cli.fleet.thing_groups import ThingGroups

GOOD = {"SUCCEEDED", "COMPLETED"}
BAD = {"FAILED", "REJECTED", "TIMED_OUT", "CANCELED"}
WELL = {"RUNNING", "FINISHED"}
LOOKS = 5
"""At the components of a device that has succeeded, before they count as other than asked for."""
CALLS_PER_S = 5.0
"""Of ListEffectiveDeployments, at most: a large group is looked at less often."""


class RolloutMonitor:
    """What each device said last. Pure."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, str]] = {}

    def take(self, device: str, status: str, reason: str) -> str:
        """A line when it is news; empty: it is not."""
        if self._of.get(device, ("", ""))[0] == status:
            return ""
        self._of[device] = (status, reason)
        return f"{device}: {status.lower().replace('_', ' ')}" + (f": {reason}" if status in BAD and reason else "")

    @property
    def left(self) -> list[str]:
        """Devices that are not done."""
        return [device for device, (status, _) in self._of.items() if status not in GOOD | BAD]

    @property
    def waiting(self) -> list[str]:
        """Devices that have not begun."""
        return [device for device, (status, _) in self._of.items() if status == "QUEUED"]

    @property
    def bad(self) -> dict[str, str]:
        """Why each failed device failed, or was not begun with."""
        return {
            device: f"{status.lower().replace('_', ' ')}: {reason or 'it gives no reason; see its greengrass.log'}"
            for device, (status, reason) in self._of.items()
            if status in BAD
        }

    def line(self) -> str:
        """All in one line."""
        count = Counter(status.lower().replace("_", " ") for status, _ in self._of.values())
        done = len(self._of) - len(self.left)
        return f"{done} of {len(self._of)} devices done: " + ", ".join(f"{n} {status}" for status, n in sorted(count.items()))


def follow(
    groups: ThingGroups,
    arn: str,
    identity: str,
    say: Callable[[str], None],
    minutes: float,
    every_s: float,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    wanted: Mapping[str, str] | None = None,
) -> None:
    """Say what each device makes of a deployment until all are done, and compare what it has then with what was asked for.

    Args:
        wanted: the version of each component of the deployment.

    Raises:
        FleetError: with each device on which it failed and why; or some did not answer in time.
    """
    devices = [each["coreDeviceThingName"] for each in groups.devices(arn)]
    if not devices:
        say("the group has no core device yet; one that joins it gets this deployment")
        return
    progress, end = RolloutMonitor(), clock() + 60 * minutes
    for device in devices:
        progress.take(device, "QUEUED", "")
    last = ""
    while True:
        # Asked before the devices: what one of them says after the end counts more than the end.
        ended = groups.deployment(identity)["deploymentStatus"] == "CANCELED"
        for device in progress.left:
            found = next((each for each in groups.executions(device) if each["deploymentId"] == identity), None)
            if found is not None:
                news = progress.take(device, found["coreDeviceExecutionStatus"], _reason(found))
                if news:
                    _clear()
                    say(f"  {news}")
        if ended:
            for device in progress.waiting:
                progress.take(device, "CANCELED", "the rollout was ended before its turn")
        last = _show(progress.line(), last)
        if not progress.left or clock() >= end:
            break
        wait(max(every_s, len(progress.left) / CALLS_PER_S))
    _clear()
    say(progress.line())
    faults = dict(progress.bad)
    for device in devices:
        if device not in faults and device not in progress.left:
            text = ill(groups.installed(device), wanted)
            for _ in range(LOOKS if text else 0):  # what a device reports of its components may come behind its success
                wait(every_s)
                text = ill(groups.installed(device), wanted)
                if not text:
                    break
            if text:
                faults[device] = text
    if faults:
        raise FleetError("the deployment failed: " + "; ".join(f"{device} {text}" for device, text in faults.items()))
    if progress.left:
        raise FleetError(
            f"{', '.join(progress.left)} did not answer within {minutes:g} minutes, and carry it out when they are back;"
            " see edgeml fleet status"
        )


def ill(installed: list[Mapping[str, Any]] | list[dict[str, Any]], wanted: Mapping[str, str] | None = None) -> str:
    """Which components do not run, and why, or are not those of a deployment; empty: all is as it should be.

    Args:
        wanted: the version of each component of the deployment. It is there for its own sake then, or the classic nucleus would
            ignore the configuration that the deployment brings.
    """
    faults = [
        f"has {each['componentName']} {each['componentVersion']} {each['lifecycleState']}"
        + (f" ({each['lifecycleStateDetails']})" if each.get("lifecycleStateDetails") else "")
        for each in installed
        if each["lifecycleState"] not in WELL
    ]
    there = {each["componentName"]: each for each in installed}
    for name, version in (wanted or {}).items():
        each = there.get(name)
        if each is None:
            faults.append(f"has no {name}")
        elif each["componentVersion"] != version:
            faults.append(f"has {name} {each['componentVersion']} instead of {version}")
        elif not each.get("isRoot", True):
            faults.append(f"has {name} as a dependency alone, and ignores its configuration")
    return ", ".join(faults)


def _reason(found: Mapping[str, Any]) -> str:
    details = found.get("statusDetails") or {}
    return " ".join(" ".join(filter(None, (found.get("reason"), ", ".join(details.get("errorStack") or ())))).split())


def _show(line: str, last: str) -> str:
    if sys.stdout.isatty() and line != last:
        print(f"\r\033[K{line}", end="", flush=True)
    return line


def _clear() -> None:
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
