"""Injected faults between a component's call and its handler, and between an event and its subscriber.

Used on the nucleus's event loop. While no fault is active, each call costs a look at an empty list.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

End = Callable[[], None]
Send = Callable[[], None]


@dataclass(frozen=True)
class CallFilter:
    """Selects calls; an empty attribute matches every call.

    Attributes:
        operation: short name, as `PublishToTopic`; several are separated by commas.
        component: the calling component.
        topic: the exact local or IoT Core topic.
    """

    operation: str = ""
    component: str = ""
    topic: str = ""

    def matches(self, operation: str, component: str, topic: str) -> bool:
        return (
            (not self.operation or operation in self.operation.split(","))
            and self.component in ("", component)
            and self.topic in ("", topic)
        )


@dataclass(eq=False)
class _Rule:
    calls: CallFilter
    error: str = ""
    seconds: float = 0.0


class FaultInjector:
    """The active rules."""

    def __init__(self) -> None:
        self._refusals: list[_Rule] = []
        self._responses: list[_Rule] = []
        self._deliveries: list[_Rule] = []
        self._delayed: dict[str, deque[tuple[float, Send]]] = {}

    def refuse(self, calls: CallFilter, error: str) -> End:
        """Refuse these calls with an error before their handlers run; returns a function that ends it."""
        return _add(self._refusals, _Rule(calls, error=error))

    def delay_responses(self, calls: CallFilter, seconds: float) -> End:
        """Execute these calls immediately, and respond late."""
        return _add(self._responses, _Rule(calls, seconds=seconds))

    def delay_deliveries(self, calls: CallFilter, seconds: float) -> End:
        """Deliver events to subscribers late, in order; `operation` is the subscription's operation."""
        return _add(self._deliveries, _Rule(calls, seconds=seconds))

    def refusal(self, operation: str, component: str, topic: str) -> str:
        """The name of the error for this call; empty: none."""
        return next((rule.error for rule in self._refusals if rule.calls.matches(operation, component, topic)), "")

    def response_delay(self, operation: str, component: str, topic: str) -> float:
        """Delay of the response to this call in seconds."""
        return _longest(self._responses, operation, component, topic)

    def deliver(self, operation: str, component: str, topic: str, send: Send) -> None:
        """Call `send` now or when it is due, never before an earlier event for the same component."""
        delayed = self._delayed.get(component)
        seconds = _longest(self._deliveries, operation, component, topic) if self._deliveries else 0.0
        if not seconds and not delayed:
            send()
            return
        due = asyncio.get_running_loop().time() + seconds
        if delayed:
            delayed.append((max(due, delayed[-1][0]), send))
        else:
            self._delayed[component] = deque([(due, send)])
            self._release_at(component, due)

    def _release_at(self, component: str, due: float) -> None:
        asyncio.get_running_loop().call_at(due, self._release, component)

    def _release(self, component: str) -> None:
        delayed, now = self._delayed[component], asyncio.get_running_loop().time()
        while delayed and delayed[0][0] <= now:
            delayed.popleft()[1]()
        if delayed:
            self._release_at(component, delayed[0][0])
        else:
            del self._delayed[component]


def _add(rules: list[_Rule], rule: _Rule) -> End:
    rules.append(rule)
    return lambda: rules.remove(rule) if rule in rules else None


def _longest(rules: list[_Rule], operation: str, component: str, topic: str) -> float:
    return max((rule.seconds for rule in rules if rule.calls.matches(operation, component, topic)), default=0.0)
