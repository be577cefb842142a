"""Thing groups, their deployments and their core devices, as AWS IoT and Greengrass know them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from botocore.exceptions import ClientError

from edgeml_cli.fleet.aws_account import Account
from edgeml_cli.fleet.deployment_plan import Desired
from edgeml_cli.fleet.errors import MISSING, FleetError, code


class ThingGroups:
    """Everything that is asked of the services about groups and devices."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._iot, self._greengrass = account.client("iot"), account.client("greengrassv2")

    def arn(self, name: str) -> str:
        """
        Raises:
            FleetError: there is no such group.
        """
        try:
            return str(self._iot.describe_thing_group(thingGroupName=name)["thingGroupArn"])
        except ClientError as fault:
            if code(fault) not in MISSING:
                raise
        pages = self._iot.get_paginator("list_thing_groups").paginate()
        there = sorted(each["groupName"] for page in pages for each in page["thingGroups"])
        close = get_close_matches(name, there, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(there[:10]) or 'none'};"
        raise FleetError(
            f"there is no thing group {name} in {self._account.region}; {hint} make one with"
            f" `aws iot create-thing-group --thing-group-name {name}`"
        )

    def history(self, arn: str) -> list[dict[str, Any]]:
        """The deployments for a group, the newest first."""
        pages = self._greengrass.get_paginator("list_deployments").paginate(targetArn=arn, historyFilter="ALL")
        found = [dict(each) for page in pages for each in page["deployments"]]
        return sorted(found, key=lambda each: (bool(each.get("isLatestForTarget")), each["creationTimestamp"]), reverse=True)

    def current(self, arn: str) -> dict[str, Any] | None:
        """The latest deployment of a group, as GetDeployment has it; None: it has none."""
        history = self.history(arn)
        return self.deployment(history[0]["deploymentId"]) if history else None

    def deployment(self, identity: str) -> dict[str, Any]:
        """What GetDeployment says."""
        return dict(self._greengrass.get_deployment(deploymentId=identity))

    def earlier(self, arn: str, current: Desired) -> dict[str, Any]:
        """The last deployment before the current one that was another.

        Raises:
            FleetError: there is none.
        """
        for each in self.history(arn)[1:]:
            found = self.deployment(each["deploymentId"])
            if Desired.of_service(found) != current:
                return found
        raise FleetError("the group has no earlier deployment to go back to; deploy the versions that you want by name")

    def create(self, request: dict[str, Any]) -> str:
        """Create a deployment; gives its id."""
        return str(self._greengrass.create_deployment(**request)["deploymentId"])

    def devices(self, arn: str | None = None) -> list[dict[str, Any]]:
        """The core devices of a group or of the account: name, status, when it said so."""
        of = {"thingGroupArn": arn} if arn else {}
        pages = self._greengrass.get_paginator("list_core_devices").paginate(**of)
        return [dict(each) for page in pages for each in page["coreDevices"]]

    def executions(self, device: str) -> list[dict[str, Any]]:
        """What a device makes of its deployments."""
        pages = self._greengrass.get_paginator("list_effective_deployments").paginate(coreDeviceThingName=device)
        return [dict(each) for page in pages for each in page["effectiveDeployments"]]

    def installed(self, device: str) -> list[dict[str, Any]]:
        """The components of a device, as it last said."""
        pages = self._greengrass.get_paginator("list_installed_components").paginate(coreDeviceThingName=device)
        return [dict(each) for page in pages for each in page["installedComponents"]]
