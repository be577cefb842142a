"""The state of one subscription of the bus."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from edgeml.backoff import Backoff
from edgeml.ipc.call_errors import name
from edgeml.ipc.publish_failures import denial_backoff

log = logging.getLogger(__name__)


@dataclass
class Subscription:
    """
    Attributes:
        kind: as in `edgeml.ipc.sdk_adapter.Received`.
        operation: the SDK's operation while the subscription is open or waits for its answer.
        answer: the pending answer; None: it has arrived.
        backoff, denied: delays between attempts; the second if IoT Core's side denies the subscription.
        logged_faults: types of faults that were logged.
        next_attempt: no attempt before this time.
        open_since: when it was opened.
        last_message: when the last message arrived.
        silent_renewals: renewals since the last message.
        closed: set when the open operation has ended.
    """

    kind: str
    topic: str
    operation: Any = None
    answer: Any = None
    backoff: Backoff = field(default_factory=lambda: Backoff(0.2, 5.0))
    denied: Backoff = field(default_factory=denial_backoff)
    logged_faults: set[type] = field(default_factory=set)
    next_attempt: float = 0.0
    open_since: float = 0.0
    last_message: float | None = None
    silent_renewals: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    @property
    def where(self) -> str:
        """Its name in log lines."""
        return self.topic or "the configuration"

    def retry_now(self) -> None:
        """Attempt a denied subscription at the next opportunity: the permission may have been added."""
        if self.denied.tries:
            self.denied.reset()
            self.logged_faults.clear()
            self.next_attempt = 0.0

    def opened(self, operation: Any, now: float) -> bool:
        """Note that the subscription is open; True if earlier attempts had failed."""
        failed_before = bool(self.backoff.tries or self.denied.tries)
        self.operation, self.open_since = operation, now
        self.backoff.reset()
        self.denied.reset()
        self.logged_faults.clear()
        return failed_before

    def failed(self, now: float, denied: bool) -> None:
        """Schedule the next attempt."""
        self.next_attempt = now + (self.denied if denied else self.backoff).next()

    def ended(self, now: float) -> None:
        """Note that the nucleus ended the stream."""
        self.operation, self.answer = None, None
        self.next_attempt = now + max(1.0, self.backoff.next())

    def close(self) -> None:
        """Close its stream, whether it still delivers or not."""
        operation, self.operation, self.answer = self.operation, None, None
        if operation is not None:
            try:
                operation.close()
            except Exception as fault:
                log.debug("closing a dead subscription failed: %s", name(fault))
