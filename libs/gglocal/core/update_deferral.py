"""Components that are asked before a deployment touches what runs, and may put it off (classic nucleus only)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

ANSWER_TIMEOUT_S = 60.0
"""The default of a deployment's component update policy: who has not answered by then does not mind."""

Receive = Callable[[dict[str, Any]], None]


class NotSubscribed(Exception):
    """Only who is asked can put an update off."""


class TooLate(Exception):
    """No answer to this deployment is awaited."""


class UpdateDeferral:
    """Who wants to be asked, and what they answered; on the nucleus's loop."""

    def __init__(self, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._receivers: list[tuple[str, Receive]] = []
        self._awaited: dict[tuple[str, str], asyncio.Future[float]] = {}

    def subscribe(self, component: str, receive: Receive) -> Callable[[], None]:
        """Tell `receive` of each update, as the body of a `ComponentUpdatePolicyEvents`; returns the function that ends it."""
        entry = (component, receive)
        self._receivers.append(entry)
        return lambda: self._receivers.remove(entry) if entry in self._receivers else None

    def defer(self, component: str, deployment: str, seconds: float) -> None:
        """A component's answer: ask again after so many seconds; 0: go on.

        Raises:
            NotSubscribed, TooLate
        """
        if not any(component == each for each, _ in self._receivers):
            raise NotSubscribed
        awaited = self._awaited.get((component, deployment))
        if awaited is None or awaited.done():
            raise TooLate
        awaited.set_result(seconds)

    async def ask(self, deployment: str) -> None:
        """Returns once nobody minds; who defers is asked again, for as long as that takes."""
        asked = {component for component, _ in self._receivers}
        while asked:
            answers = {component: asyncio.get_running_loop().create_future() for component in asked}
            self._awaited = {(component, deployment): answer for component, answer in answers.items()}
            self._tell({"preUpdateEvent": {"deploymentId": deployment, "isGgcRestarting": False}}, asked)
            await asyncio.wait(answers.values(), timeout=self._timeout_s)
            self._awaited = {}
            waits = {component: answer.result() for component, answer in answers.items() if answer.done() and answer.result() > 0}
            await asyncio.sleep(max(waits.values(), default=0.0))
            asked = waits.keys() & {component for component, _ in self._receivers}

    def tell_done(self, deployment: str) -> None:
        """The update is through."""
        self._tell({"postUpdateEvent": {"deploymentId": deployment}}, {component for component, _ in self._receivers})

    def _tell(self, event: dict[str, Any], components: set[str]) -> None:
        for component, receive in list(self._receivers):
            if component in components:
                receive(event)
