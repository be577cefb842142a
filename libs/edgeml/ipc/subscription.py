"""One subscription of the bus, as it stands or is to stand again."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from edgeml.backoff import Backoff
from edgeml.ipc.call_errors import name
from edgeml.ipc.publish_failures import seldom

log = logging.getLogger(__name__)


@dataclass
class Subscription:
    """
    Attributes:
        kind: as in `edgeml.ipc.sdk_adapter.Received`.
        operation: the SDK's, while it stands, or waits for its answer.
        answer: the answer that is waited for; None: it came.
        backoff, refused: the waiting between tries; the second of those that IoT Core's side refuses.
        said: kinds of faults that were logged.
        due: not tried before.
        stands_at: since when it stands.
        heard_at: when something came.
        silences: renewals since something was heard.
        closed: set when the operation that stands has ended.
    """

    kind: str
    topic: str
    operation: Any = None
    answer: Any = None
    backoff: Backoff = field(default_factory=lambda: Backoff(0.2, 5.0))
    refused: Backoff = field(default_factory=seldom)
    said: set[type] = field(default_factory=set)
    due: float = 0.0
    stands_at: float = 0.0
    heard_at: float | None = None
    silences: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """Close its stream, dead or alive."""
        operation, self.operation, self.answer = self.operation, None, None
        if operation is not None:
            try:
                operation.close()
            except Exception as fault:
                log.debug("closing a dead subscription: %s", name(fault))
