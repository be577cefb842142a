"""Components validate their new configuration before a deployment changes it (classic nucleus only)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

REPORT_TIMEOUT_S = 20.0
"""As on the classic nucleus, for local deployments."""
ACCEPTED, REJECTED = "ACCEPTED", "REJECTED"

Receive = Callable[[dict[str, Any]], None]


class NotExpected(Exception):
    """No report from this component about this deployment is expected."""


class ConfigValidation:
    """The subscribed components and their reports; used on the nucleus's event loop."""

    def __init__(self, timeout_s: float = REPORT_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._receivers: dict[str, Receive] = {}
        self._expected: dict[tuple[str, str], asyncio.Future[tuple[str, str]]] = {}

    def subscribe(self, component: str, receive: Receive) -> Callable[[], None]:
        """Call `receive` with each configuration to validate, as the body of a `ValidateConfigurationUpdateEvents`.

        A component has one subscription: of several, the first is used until it ends. Returns a function that ends it.
        """
        self._receivers.setdefault(component, receive)

        def end() -> None:
            if self._receivers.get(component) is receive:
                del self._receivers[component]

        return end

    def report(self, component: str, deployment: str, status: str, message: str) -> None:
        """Record a component's report.

        Raises:
            NotExpected
        """
        expected = self._expected.get((component, deployment))
        if expected is None or expected.done():
            raise NotExpected
        expected.set_result((status, message))

    async def validate(self, deployment: str, proposed: Mapping[str, Any]) -> str:
        """Have each subscribed component of `proposed` validate its new configuration.

        As on the classic nucleus: once one component is asked, every component whose configuration changes must report,
        subscribed or not.

        Returns:
            Why the deployment fails, or an empty text.
        """
        if not proposed.keys() & self._receivers.keys():
            return ""
        loop = asyncio.get_running_loop()
        reports = {component: loop.create_future() for component in proposed}
        self._expected = {(component, deployment): report for component, report in reports.items()}
        try:
            for component, configuration in proposed.items():
                receive = self._receivers.get(component)
                if receive is not None:
                    receive({"validateConfigurationUpdateEvent": {"configuration": configuration, "deploymentId": deployment}})
            await asyncio.wait(reports.values(), timeout=self._timeout_s)
        finally:
            self._expected = {}
        missing = [component for component, report in reports.items() if not report.done()]
        if missing:
            return (
                f"{', '.join(missing)} did not report within {self._timeout_s:g} s whether the configuration is "
                "valid; if one component calls "
                "SubscribeToValidateConfigurationUpdates, every component whose configuration a deployment changes must report"
            )
        rejected = [f"{component}: {report.result()[1]}" for component, report in reports.items() if report.result()[0] == REJECTED]
        return f"components reported that their configuration is invalid: {'; '.join(rejected)}" if rejected else ""
