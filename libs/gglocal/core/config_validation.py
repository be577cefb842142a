"""Components that are asked whether a configuration is valid before a deployment changes it (classic nucleus only)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

ANSWER_TIMEOUT_S = 20.0
"""The classic nucleus's, for local deployments."""
ACCEPTED, REJECTED = "ACCEPTED", "REJECTED"

Receive = Callable[[dict[str, Any]], None]


class NotAwaited(Exception):
    """No report of this component on this deployment is awaited."""


class Validation:
    """Who wants to be asked, and what they reported; on the nucleus's loop."""

    def __init__(self, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._receivers: dict[str, Receive] = {}
        self._awaited: dict[tuple[str, str], asyncio.Future[tuple[str, str]]] = {}

    def subscribe(self, component: str, receive: Receive) -> Callable[[], None]:
        """Tell `receive` of each configuration to validate, as the body of a `ValidateConfigurationUpdateEvents`.

        A component has one subscription: of several, the first counts until it ends. Returns the function that ends it.
        """
        self._receivers.setdefault(component, receive)

        def end() -> None:
            if self._receivers.get(component) is receive:
                del self._receivers[component]

        return end

    def report(self, component: str, deployment: str, status: str, message: str) -> None:
        """A component's answer.

        Raises:
            NotAwaited
        """
        awaited = self._awaited.get((component, deployment))
        if awaited is None or awaited.done():
            raise NotAwaited
        awaited.set_result((status, message))

    async def ask(self, deployment: str, proposed: Mapping[str, Any]) -> str:
        """Have each component of `proposed` that has subscribed validate its new configuration.

        As the classic nucleus does: once one of them is asked, a report of each component whose configuration changes is
        awaited, subscribed or not.

        Returns:
            Why the deployment fails, or an empty text.
        """
        if not proposed.keys() & self._receivers.keys():
            return ""
        loop = asyncio.get_running_loop()
        reports = {component: loop.create_future() for component in proposed}
        self._awaited = {(component, deployment): report for component, report in reports.items()}
        try:
            for component, configuration in proposed.items():
                receive = self._receivers.get(component)
                if receive is not None:
                    receive({"validateConfigurationUpdateEvent": {"configuration": configuration, "deploymentId": deployment}})
            await asyncio.wait(reports.values(), timeout=self._timeout_s)
        finally:
            self._awaited = {}
        silent = [component for component, report in reports.items() if not report.done()]
        if silent:
            return (
                f"{', '.join(silent)} did not report within {self._timeout_s:g} s whether the configuration is valid; where one component "
                "subscribes to SubscribeToValidateConfigurationUpdates, each one whose configuration a deployment changes must report"
            )
        refused = [f"{component}: {report.result()[1]}" for component, report in reports.items() if report.result()[0] == REJECTED]
        return f"components reported that their configuration is invalid: {'; '.join(refused)}" if refused else ""
