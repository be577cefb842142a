"""Components may defer a deployment that restarts components (classic nucleus only)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

RESPONSE_TIMEOUT_S = 60.0
"""The default of a deployment's component update policy; a component that has not responded by then consents."""

Receive = Callable[[dict[str, Any]], None]


class NotSubscribed(Exception):
    """Only a subscribed component can defer an update."""


class TooLate(Exception):
    """No response about this deployment is expected."""


class UpdateDeferral:
    """The subscribed components and their responses; used on the nucleus's event loop."""

    def __init__(self, timeout_s: float = RESPONSE_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._receivers: list[tuple[str, Receive]] = []
        self._expected: dict[tuple[str, str], asyncio.Future[float]] = {}

    def subscribe(self, component: str, receive: Receive) -> Callable[[], None]:
        """Call `receive` for each update, with the body of a `ComponentUpdatePolicyEvents`; returns a function that ends it."""
        entry = (component, receive)
        self._receivers.append(entry)
        return lambda: self._receivers.remove(entry) if entry in self._receivers else None

    def defer(self, component: str, deployment: str, seconds: float) -> None:
        """Record a component's response: ask again after so many seconds; 0: proceed.

        Raises:
            NotSubscribed, TooLate
        """
        if not any(component == each for each, _ in self._receivers):
            raise NotSubscribed
        expected = self._expected.get((component, deployment))
        if expected is None or expected.done():
            raise TooLate
        expected.set_result(seconds)

    async def wait_for_consent(self, deployment: str) -> None:
        """Return once every component consents; one that defers is asked again, without a limit."""
        asked = {component for component, _ in self._receivers}
        while asked:
            responses = {component: asyncio.get_running_loop().create_future() for component in asked}
            self._expected = {(component, deployment): answer for component, answer in responses.items()}
            self._notify({"preUpdateEvent": {"deploymentId": deployment, "isGgcRestarting": False}}, asked)
            await asyncio.wait(responses.values(), timeout=self._timeout_s)
            self._expected = {}
            waits = {component: response.result() for component, response in responses.items() if response.done() and response.result() > 0}
            await asyncio.sleep(max(waits.values(), default=0.0))
            asked = waits.keys() & {component for component, _ in self._receivers}

    def notify_done(self, deployment: str) -> None:
        """Report the end of the update to all subscribers."""
        self._notify({"postUpdateEvent": {"deploymentId": deployment}}, {component for component, _ in self._receivers})

    def _notify(self, event: dict[str, Any], components: set[str]) -> None:
        for component, receive in list(self._receivers):
            if component in components:
                receive(event)
