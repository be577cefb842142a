"""What is on its way to IoT Core. It is held in memory only, so that an outage costs local work nothing."""

from __future__ import annotations

import logging
from collections import deque

from edgeml.backoff import Backoff
from edgeml.bus import Bus

log = logging.getLogger(__name__)


class CloudQueue:
    """Messages for one topic of IoT Core, in order, tried again for a short while, bounded.

    Args:
        retry_s: seconds of the monotonic clock after which a message that does not get through is given up.
        keep: messages that may wait; beyond it the oldest is given up.

    Attributes:
        sent, lost: messages the nucleus took, and messages given up.
    """

    def __init__(self, bus: Bus, topic: str, *, retry_s: float = 30.0, keep: int = 200) -> None:
        self.topic, self.sent, self.lost, self.keep = topic, 0, 0, keep
        self._bus, self._retry_s = bus, retry_s
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._backoff = Backoff(1.0, 30.0)
        self._due = 0.0
        self._lost_before = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, payload: bytes, now: float) -> None:
        """Queue a message; it is sent in `tick`."""
        self._waiting.append((now, payload))
        if len(self._waiting) > self.keep:
            self._waiting.popleft()
            self.lost += 1

    def tick(self, now: float, at_most: int = 5) -> float:
        """Send up to `at_most` messages; returns in how many seconds there is something to do again."""
        for _ in range(at_most):
            if not self._waiting:
                return 60.0
            if now < self._due:
                return self._due - now
            if not self._bus.publish_cloud(self.topic, self._waiting[0][1]):
                return self._failed(now)
            self._waiting.popleft()
            self.sent += 1
            if self._backoff.tries:
                given_up = self.lost - self._lost_before
                log.info("IoT Core takes %s again; %d messages were given up in between", self.topic, given_up)
                self._backoff.reset()
        return 0.0 if self._waiting else 60.0

    def _failed(self, now: float) -> float:
        if not self._backoff.tries:
            self._lost_before = self.lost
            log.warning(
                "IoT Core does not take %s; going on locally, trying each message again for %g s, %d messages at most",
                self.topic, self._retry_s, self.keep,
            )
        while self._waiting and now - self._waiting[0][0] >= self._retry_s:
            self._waiting.popleft()
            self.lost += 1
        wait = self._backoff.next()
        self._due = now + wait
        return wait
