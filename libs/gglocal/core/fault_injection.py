"""What stands between a component's call and its handler, and between an event and its subscriber, while a fault lasts.

Without a fault nothing here costs more than a look at an empty list. Used on the nucleus's loop.
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
    """Which calls; what is empty stands for every one.

    Attributes:
        operation: short name, as `PublishToTopic`; several with a comma.
        component: who calls.
        topic: exactly, of a local or an IoT Core topic.
    """

    operation: str = ""
    component: str = ""
    topic: str = ""

    def takes(self, operation: str, component: str, topic: str) -> bool:
        return (
            (not self.operation or operation in self.operation.split(","))
            and self.component in ("", component)
            and self.topic in ("", topic)
        )


@dataclass(eq=False)
class _Rule:
    matching: CallFilter
    error: str = ""
    seconds: float = 0.0


class FaultInjector:
    """The rules that are in force."""

    def __init__(self) -> None:
        self._refusals: list[_Rule] = []
        self._answers: list[_Rule] = []
        self._deliveries: list[_Rule] = []
        self._held: dict[str, deque[tuple[float, Send]]] = {}

    def refuse(self, matching: CallFilter, error: str) -> End:
        """Answer these calls with an error, unheard; returns the function that ends it."""
        return _add(self._refusals, _Rule(matching, error=error))

    def delay_answers(self, matching: CallFilter, seconds: float) -> End:
        """Do what is asked at once, and answer late."""
        return _add(self._answers, _Rule(matching, seconds=seconds))

    def delay_deliveries(self, matching: CallFilter, seconds: float) -> End:
        """Hand events to subscribers late, in order; `operation` is the one that opened the stream."""
        return _add(self._deliveries, _Rule(matching, seconds=seconds))

    def refusal(self, operation: str, component: str, topic: str) -> str:
        """The error that this call is to be answered with; empty: none."""
        return next((rule.error for rule in self._refusals if rule.matching.takes(operation, component, topic)), "")

    def answer_delay(self, operation: str, component: str, topic: str) -> float:
        """Seconds."""
        return _longest(self._answers, operation, component, topic)

    def deliver(self, operation: str, component: str, topic: str, send: Send) -> None:
        """Call `send` now, or when it is due; never before what was to go to the same component earlier."""
        held = self._held.get(component)
        seconds = _longest(self._deliveries, operation, component, topic) if self._deliveries else 0.0
        if not seconds and not held:
            send()
            return
        due = asyncio.get_running_loop().time() + seconds
        if held:
            held.append((max(due, held[-1][0]), send))
        else:
            self._held[component] = deque([(due, send)])
            self._release_at(component, due)

    def _release_at(self, component: str, due: float) -> None:
        asyncio.get_running_loop().call_at(due, self._release, component)

    def _release(self, component: str) -> None:
        held, now = self._held[component], asyncio.get_running_loop().time()
        while held and held[0][0] <= now:
            held.popleft()[1]()
        if held:
            self._release_at(component, held[0][0])
        else:
            del self._held[component]


def _add(rules: list[_Rule], rule: _Rule) -> End:
    rules.append(rule)
    return lambda: rules.remove(rule) if rule in rules else None


def _longest(rules: list[_Rule], operation: str, component: str, topic: str) -> float:
    return max((rule.seconds for rule in rules if rule.matching.takes(operation, component, topic)), default=0.0)
