"""Thing groups, their deployments and their core devices, from AWS IoT and Greengrass."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from botocore.exceptions import ClientError

from edgeml_cli.fleet.aws_account import Account
from edgeml_cli.fleet.deployment_plan import DeploymentSpec
from edgeml_cli.fleet.errors import NOT_FOUND, FleetError, code


class ThingGroups:
    """Reads thing groups and core devices, and creates deployments."""

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
            if code(fault) not in NOT_FOUND:
                raise
        pages = self._iot.get_paginator("list_thing_groups").paginate()
        existing = sorted(each["groupName"] for page in pages for each in page["thingGroups"])
        close = get_close_matches(name, existing, 1)
        hint = f"did you mean {close[0]}?" if close else f"existing groups: {', '.join(existing[:10]) or 'none'}."
        raise FleetError(
            f"there is no thing group {name} in {self._account.region}; {hint} To create it, run"
            f" `aws iot create-thing-group --thing-group-name {name}`"
        )

    def history(self, arn: str) -> list[dict[str, Any]]:
        """The deployments of a group, newest first."""
        pages = self._greengrass.get_paginator("list_deployments").paginate(targetArn=arn, historyFilter="ALL")
        found = [dict(each) for page in pages for each in page["deployments"]]
        return sorted(found, key=lambda each: (bool(each.get("isLatestForTarget")), each["creationTimestamp"]), reverse=True)

    def current(self, arn: str) -> dict[str, Any] | None:
        """The latest deployment of a group as GetDeployment returns it; None if it has none."""
        history = self.history(arn)
        return self.deployment(history[0]["deploymentId"]) if history else None

    def deployment(self, identity: str) -> dict[str, Any]:
        """A deployment as GetDeployment returns it."""
        return dict(self._greengrass.get_deployment(deploymentId=identity))

    def previous(self, arn: str, current: DeploymentSpec) -> dict[str, Any]:
        """The latest earlier deployment that differs from the current one.

        Raises:
            FleetError: there is none.
        """
        for each in self.history(arn)[1:]:
            found = self.deployment(each["deploymentId"])
            if DeploymentSpec.of_service(found) != current:
                return found
        raise FleetError("the group has no earlier deployment to roll back to; deploy the versions that you want with edgeml fleet deploy")

    def create(self, request: dict[str, Any]) -> str:
        """Create a deployment; returns its id."""
        return str(self._greengrass.create_deployment(**request)["deploymentId"])

    def devices(self, arn: str | None = None) -> list[dict[str, Any]]:
        """The core devices of a group, or of the account: name, status and time of the status."""
        selection = {"thingGroupArn": arn} if arn else {}
        pages = self._greengrass.get_paginator("list_core_devices").paginate(**selection)
        return [dict(each) for page in pages for each in page["coreDevices"]]

    def executions(self, device: str) -> list[dict[str, Any]]:
        """The status of each deployment on a device."""
        pages = self._greengrass.get_paginator("list_effective_deployments").paginate(coreDeviceThingName=device)
        return [dict(each) for page in pages for each in page["effectiveDeployments"]]

    def installed(self, device: str) -> list[dict[str, Any]]:
        """The components of a device according to its latest report."""
        pages = self._greengrass.get_paginator("list_installed_components").paginate(coreDeviceThingName=device)
        return [dict(each) for page in pages for each in page["installedComponents"]]
