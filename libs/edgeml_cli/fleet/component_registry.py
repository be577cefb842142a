"""The component versions of an account, as the Greengrass service knows them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from edgeml_cli.fleet.aws_account import Account
from edgeml_cli.fleet.errors import NOT_FOUND, FleetError, code, reason

DEPLOYABLE_TIMEOUT_S = 120.0
FIRST_POLL_S, MAX_POLL_S = 0.1, 3.0
"""Interval between the first two polls of a new version, and the longest interval; each is twice the previous one."""


class ComponentRegistry:
    """The component versions of an account.

    Args:
        wait: sleeps between two polls.
    """

    def __init__(self, account: Account, wait: Callable[[float], None] = time.sleep) -> None:
        self._account, self._wait = account, wait
        self._client = account.client("greengrassv2")

    def state(self, name: str, version: str) -> dict[str, Any] | None:
        """The `componentState`, `message` and `errors` of a version; None if it does not exist."""
        try:
            return dict(self._client.describe_component(arn=self._account.component_arn(name, version))["status"])
        except ClientError as fault:
            if code(fault) in NOT_FOUND:
                return None
            raise

    def recipe(self, name: str, version: str) -> dict[str, Any] | None:
        """The published recipe, including the service's additions; None if the version does not exist."""
        try:
            found = self._client.get_component(arn=self._account.component_arn(name, version), recipeOutputFormat="JSON")
        except ClientError as fault:
            if code(fault) in NOT_FOUND:
                return None
            raise
        return dict(json.loads(found["recipe"]))

    def versions(self, name: str) -> list[str]:
        """The versions of a component, newest first."""
        pages = self._client.get_paginator("list_component_versions").paginate(arn=self._account.component_arn(name))
        try:
            return [each["componentVersion"] for page in pages for each in page["componentVersions"]]
        except ClientError as fault:
            if code(fault) in NOT_FOUND:
                return []
            raise

    def names(self) -> list[str]:
        """The names of the account's own components."""
        pages = self._client.get_paginator("list_components").paginate(scope="PRIVATE")
        return [each["componentName"] for page in pages for each in page["components"]]

    def create(self, name: str, version: str, recipe: str) -> bool:
        """Create a component version.

        Returns:
            False if the version already exists.

        Raises:
            FleetError: the service rejects the recipe.
        """
        try:
            self._client.create_component_version(inlineRecipe=recipe.encode())
        except ClientError as fault:
            if code(fault) == "ConflictException":
                return False
            if code(fault) == "ValidationException":
                raise FleetError(
                    f"Greengrass rejected the recipe of {name} {version}: {reason(fault)}; correct recipes/{name}.yaml"
                ) from None
            raise
        return True

    def wait_until_deployable(self, name: str, version: str) -> None:
        """Wait until the service has accepted a version.

        Raises:
            FleetError: the version failed, or the wait timed out.
        """
        waited, pause = 0.0, FIRST_POLL_S
        while True:
            state = self.state(name, version) or {}
            if state.get("componentState") == "DEPLOYABLE":
                return
            if state.get("componentState") == "FAILED":
                why = "; ".join(filter(None, (state.get("message"), *(state.get("errors") or {}).values()))) or "no reason given"
                arn = self._account.component_arn(name, version)
                raise FleetError(
                    f"Greengrass could not create {name} {version}: {why}; correct this, run"
                    f" `aws greengrassv2 delete-component --arn {arn}` and publish again"
                )
            if waited >= DEPLOYABLE_TIMEOUT_S:
                raise FleetError(
                    f"{name} {version} is {state.get('componentState', 'missing')} after {DEPLOYABLE_TIMEOUT_S:.0f} s; publish again"
                    " to continue waiting"
                )
            self._wait(pause)
            waited, pause = waited + pause, min(2 * pause, MAX_POLL_S)
