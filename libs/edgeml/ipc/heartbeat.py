"""A message that a component sends to itself through the broker, to notice that its subscriptions no longer deliver. Pure.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable


class Heartbeat:
    """The schedule of the heartbeat. `received` may be called on another thread than the rest.

    Args:
        topic: the heartbeat topic of this component.
        interval_s: time between two heartbeats.
        timeout_s: time after which an unanswered heartbeat means that the subscriptions are dead.
    """

    def __init__(self, topic: str, interval_s: float, timeout_s: float) -> None:
        self.topic, self.interval_s, self._timeout_s = topic, interval_s, timeout_s
        self._last_sent = 0.0
        self._unanswered_since: float | None = None

    def due(self, now: float) -> bool:
        return now - self._last_sent >= self.interval_s

    def send(self, now: float, publish: Callable[[], bool], subscribed: bool) -> None:
        """Publish one heartbeat. It counts as unanswered only if it was sent and a subscription is open to receive it."""
        self._last_sent = now
        # Recorded before it is sent, because it may return before the call does.
        before = self._unanswered_since
        if before is None and subscribed:
            self._unanswered_since = now
        if not publish():
            self._unanswered_since = before

    def received(self) -> None:
        self._unanswered_since = None

    reset = received

    def overdue_s(self, now: float) -> float | None:
        """Seconds without an answer once they exceed the timeout, else None."""
        since = self._unanswered_since
        return now - since if since is not None and now - since > self._timeout_s else None
