"""The component versions of an account, as the Greengrass service knows them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from edgeml_cli.fleet.aws_account import Account
from edgeml_cli.fleet.errors import MISSING, FleetError, code, reason

PATIENCE_S = 120.0
FIRST_S, LONGEST_S = 0.1, 3.0
"""Between the first two looks at a new version, and between two at most; each wait is twice the one before."""


class ComponentRegistry:
    """Component versions by name and version.

    Args:
        wait: sleeps between two looks.
    """

    def __init__(self, account: Account, wait: Callable[[float], None] = time.sleep) -> None:
        self._account, self._wait = account, wait
        self._client = account.client("greengrassv2")

    def state(self, name: str, version: str) -> dict[str, Any] | None:
        """Its `componentState`, `message` and `errors`; None: there is no such version."""
        try:
            return dict(self._client.describe_component(arn=self._account.component_arn(name, version))["status"])
        except ClientError as fault:
            if code(fault) in MISSING:
                return None
            raise

    def recipe(self, name: str, version: str) -> dict[str, Any] | None:
        """The published recipe, with what the service wrote into it; None: there is no such version."""
        try:
            found = self._client.get_component(arn=self._account.component_arn(name, version), recipeOutputFormat="JSON")
        except ClientError as fault:
            if code(fault) in MISSING:
                return None
            raise
        return dict(json.loads(found["recipe"]))

    def versions(self, name: str) -> list[str]:
        """Those of a component, the newest first."""
        pages = self._client.get_paginator("list_component_versions").paginate(arn=self._account.component_arn(name))
        try:
            return [each["componentVersion"] for page in pages for each in page["componentVersions"]]
        except ClientError as fault:
            if code(fault) in MISSING:
                return []
            raise

    def names(self) -> list[str]:
        """Those of the account's own components."""
        pages = self._client.get_paginator("list_components").paginate(scope="PRIVATE")
        return [each["componentName"] for page in pages for each in page["components"]]

    def create(self, name: str, version: str, recipe: str) -> bool:
        """Create a component version; False: somebody else was first.

        Raises:
            FleetError: the service refuses the recipe.
        """
        try:
            self._client.create_component_version(inlineRecipe=recipe.encode())
        except ClientError as fault:
            if code(fault) == "ConflictException":
                return False
            if code(fault) == "ValidationException":
                raise FleetError(f"Greengrass refuses the recipe of {name} {version}: {reason(fault)}; mend recipes/{name}.yaml") from None
            raise
        return True

    def until_deployable(self, name: str, version: str) -> None:
        """
        Raises:
            FleetError: it failed, or takes too long.
        """
        waited, pause = 0.0, FIRST_S
        while True:
            state = self.state(name, version) or {}
            if state.get("componentState") == "DEPLOYABLE":
                return
            if state.get("componentState") == "FAILED":
                why = "; ".join(filter(None, (state.get("message"), *(state.get("errors") or {}).values()))) or "no reason given"
                arn = self._account.component_arn(name, version)
                raise FleetError(
                    f"Greengrass could not make {name} {version}: {why}; mend that, then run"
                    f" `aws greengrassv2 delete-component --arn {arn}` and publish again"
                )
            if waited >= PATIENCE_S:
                raise FleetError(
                    f"{name} {version} is {state.get('componentState', 'not there')} after {PATIENCE_S:.0f} s; publish again to wait on"
                )
            self._wait(pause)
            waited, pause = waited + pause, min(2 * pause, LONGEST_S)
