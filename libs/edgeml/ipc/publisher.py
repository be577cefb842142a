"""Publishing to local topics and to IoT Core, with retries. Used by the component's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable

from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient

from edgeml.backoff import Backoff
from edgeml.ipc import sdk_adapter
from edgeml.ipc.connection import Connection
from edgeml.ipc.denial_diagnosis import DenialDiagnosis
from edgeml.ipc.publish_failures import PublishFailures
from edgeml.ipc.subscriptions import SubscriptionManager
from edgeml.log_throttle import REPEAT_S, RateLimitedLog
from edgeml.messages import MAX_PAYLOAD

log = logging.getLogger(__name__)

REQUESTS = {"local": sdk_adapter.publish, "cloud": sdk_adapter.publish_cloud}
Sign = Callable[[str, bytes], bytes | None]
"""Returns a message, given its topic, as it is sent; None if it must not be sent."""


class Publisher:
    """
    Args:
        connect: returns the client, after at most one attempt to connect.
        subscriptions: informed when publishing works again after failures.
        monotonic, sleep: the clock.
    """

    def __init__(
        self,
        connection: Connection,
        connect: Callable[[], GreengrassCoreIPCClient | None],
        subscriptions: SubscriptionManager,
        diagnosis: DenialDiagnosis,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._connection, self._connect, self._subscriptions, self._diagnosis = connection, connect, subscriptions, diagnosis
        self._monotonic, self._sleep = monotonic, sleep
        self._throttled = RateLimitedLog(log, monotonic)
        self._failures: dict[tuple[str, str], PublishFailures] = {}  # kind and topic
        self._logged: dict[tuple[int, str, str, type], float] = {}  # level, kind, topic and fault -> time of the last log line

    def publish(self, kind: str, topic: str, payload: bytes, timeout_s: float, sign: Sign | None = None) -> bool:
        """Publish a message; True when the nucleus accepted it.

        A failed call is retried with back-off for `timeout_s`. After that, a topic gets one attempt per message, so that a missing
        permission for one topic does not slow down the others. Without a connection, only the first message waits for `timeout_s`.
        """
        size = len(payload)
        if size > MAX_PAYLOAD:
            self._throttled.error(
                "a message of %d bytes for %s is not sent: the nucleus accepts at most %d; split it", size, topic, MAX_PAYLOAD
            )
            return False
        failures = self._failures.get((kind, topic))
        if failures is not None and self._monotonic() < failures.next_attempt:
            return False
        give_up = self._monotonic() + (0.0 if failures is not None and failures.given_up else timeout_s)
        backoff = Backoff(0.05, 1.0)
        while True:
            client = self._connect()
            if client is None:
                deadline = min(give_up, self._connection.lost_at + timeout_s)
                if self._connection.shutting_down or self._connection.fatal_error or self._monotonic() >= deadline:
                    return False
                self._sleep(min(backoff.next(), 0.2))
                continue
            # Signed at each attempt, because receivers accept a signed message once, and only while it is fresh.
            message = payload if sign is None else sign(topic, payload)
            if message is None:
                return False
            operation, make, request = REQUESTS[kind](topic, message)
            try:
                sdk_adapter.call(make(client), request, sdk_adapter.CLOUD_TIMEOUT_S if kind == "cloud" else sdk_adapter.CALL_TIMEOUT_S)
                self._succeeded(kind, operation, topic)
                return True
            except Exception as fault:
                if isinstance(fault, sdk_adapter.LATE) and kind == "local":
                    self._connection.drop()  # the broker does not answer at all: the next calls must not wait as long
                if self._connection.client is not None and not self._retry(kind, operation, topic, fault, give_up, backoff):
                    return False
                self._sleep(backoff.next())

    def retry_denied(self) -> None:
        """Retry denied topics with the next message: the permission may have been added."""
        for failures in self._failures.values():
            failures.retry_now()

    def _succeeded(self, kind: str, operation: str, topic: str) -> None:
        failures = self._failures.pop((kind, topic), None)
        if failures is None:
            return
        if failures.given_up:
            log.info("%s to %s succeeded after failures", operation, topic)
        now = self._monotonic()
        stale = failures.stale_kinds(now, echoed=self._subscriptions.get(kind, topic) is not None)
        self._subscriptions.mark_stale(
            stale, f"{operation} to {topic} failed for {now - failures.since:.1f} s, and subscriptions may have died meanwhile"
        )

    def _retry(self, kind: str, operation: str, topic: str, fault: Exception, give_up: float, backoff: Backoff) -> bool:
        """Record a failure; True if the call shall be retried."""
        now = self._monotonic()
        failures = self._failures.setdefault((kind, topic), PublishFailures(kind, now, type(fault)))
        failures.fault = type(fault)
        if self._connection.shutting_down:
            return False
        if now >= give_up:
            if failures.give_up(now):
                self._log(logging.ERROR, kind, operation, topic, fault)
            return False
        if backoff.tries == 0:
            self._log(logging.WARNING, kind, operation, topic, fault, "; retrying")
        return True

    def _log(self, level: int, kind: str, operation: str, topic: str, fault: Exception, suffix: str = "") -> None:
        """Log a failure, at most once in `REPEAT_S`: a buffer that is repeatedly full fails every few calls."""
        now, key = self._monotonic(), (level, kind, topic, type(fault))
        if now - self._logged.get(key, -REPEAT_S) >= REPEAT_S:
            self._logged[key] = now
            self._diagnosis.log(level, operation, topic, fault, suffix)
