"""All subscriptions of a component: opening, retrying and renewing them. Used by the component's thread.

Subscriptions of the kinds `cloud` and `configuration` have no heartbeat. They are renewed together with the local ones when a heartbeat is
missed, and when calls that failed for a while succeed again, because the nucleus has probably restarted. A topic of `topics.STREAMS` is
renewed alone if not even a keep-alive arrived for a while.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

from awsiot.greengrasscoreipc import model

from edgeml.ipc import sdk_adapter
from edgeml.ipc.connection import Connection
from edgeml.ipc.denial_diagnosis import DenialDiagnosis
from edgeml.ipc.receive_queue import ReceiveQueue
from edgeml.ipc.sdk_adapter import POLLED, Put, Received
from edgeml.ipc.subscription import Subscription
from edgeml.messages import topics
from edgeml.messages.sequencing import KEEP_ALIVE_S

log = logging.getLogger(__name__)

KINDS = ("local", "cloud", "configuration")
MAX_SILENCE_S = 60.0


class SubscriptionManager:
    """
    Args:
        put: called with each received item, on a thread of the SDK.
        queue: receives the polls of the configuration.
        poll_interval_s: time between two polls of the configuration.

    Attributes:
        resubscribe_count: how often subscriptions were renewed.
    """

    def __init__(
        self,
        connection: Connection,
        diagnosis: DenialDiagnosis,
        put: Put,
        queue: ReceiveQueue,
        poll_interval_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.resubscribe_count = 0
        self._connection, self._diagnosis, self._put, self._queue = connection, diagnosis, put, queue
        self._monotonic, self._poll_interval_s = monotonic, poll_interval_s
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._stale: dict[str, str] = {}  # kinds of subscriptions to renew, and why
        self._last_poll = monotonic()

    def add(self, kind: str, topic: str) -> Subscription:
        """The subscription, registered if it is new; `attempt` or `renew` opens it."""
        return self._subscriptions.setdefault((kind, topic), Subscription(kind, topic))

    def get(self, kind: str, topic: str) -> Subscription | None:
        return self._subscriptions.get((kind, topic))

    def remove(self, kind: str, topic: str) -> None:
        subscription = self._subscriptions.pop((kind, topic), None)
        if subscription is not None:
            subscription.close()

    def message_ages(self) -> dict[str, float | None]:
        """Seconds since the last message on each local topic; None before the first."""
        now = self._monotonic()
        local = [each for each in self._subscriptions.values() if each.kind == "local"]
        return {each.topic: None if each.last_message is None else now - each.last_message for each in local}

    def retry_denied(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.retry_now()

    def close_all(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()

    # -- opening

    def attempt(self, subscription: Subscription) -> None:
        """Try to open the subscription. Without a connection nothing happens: a new connection opens all of them."""
        client = self._connection.client
        if client is None or subscription.operation is not None:
            return
        subscription.closed = threading.Event()
        operation_name, make, request = sdk_adapter.SUBSCRIPTIONS[subscription.kind](subscription.topic, self._put, subscription.closed.set)
        try:
            operation = make(client)
            if subscription.kind != "cloud":
                sdk_adapter.open_stream(operation, request)
        except Exception as fault:
            self._failed(subscription, operation_name, fault)
            return
        if subscription.kind == "cloud":
            self._begin_cloud(subscription, operation_name, operation, request)
        else:
            self._opened(subscription, operation_name, operation)

    def _begin_cloud(self, subscription: Subscription, operation_name: str, operation: Any, request: Any) -> None:
        """Send a request to IoT Core without blocking local work: classic answers when IoT Core has answered, which may take hours."""
        others_wait = any(each.answer is not None for each in self._subscriptions.values())
        try:
            answer = sdk_adapter.begin(operation, request)
        except Exception as fault:
            self._failed(subscription, operation_name, fault)
            return
        subscription.operation, subscription.answer, subscription.open_since = operation, answer, self._monotonic()
        # Usually the answer arrives at once. If one is late, the others are too.
        wait([answer], 0.0 if others_wait else sdk_adapter.CLOUD_TIMEOUT_S)
        if answer.done():
            self._answered(subscription)
        else:
            log.info("%s to %s has no answer yet; it arrives when the nucleus reaches IoT Core", operation_name, subscription.topic)

    def _answered(self, subscription: Subscription) -> None:
        operation, answer, subscription.answer = subscription.operation, subscription.answer, None
        try:
            answer.result(0)
        except Exception as fault:
            subscription.close()
            self._failed(subscription, sdk_adapter.SUBSCRIBE_CLOUD, fault)
            return
        self._opened(subscription, sdk_adapter.SUBSCRIBE_CLOUD, operation)

    def _opened(self, subscription: Subscription, operation_name: str, operation: Any) -> None:
        if subscription.opened(operation, self._monotonic()):
            log.info("%s to %s succeeded after failures", operation_name, subscription.where)
            if subscription.kind == "configuration":
                self.poll_configuration()
            else:
                self.resubscribe_count += 1

    def _failed(self, subscription: Subscription, operation_name: str, fault: Exception) -> None:
        if isinstance(fault, sdk_adapter.LATE) and subscription.kind != "cloud":
            self._connection.drop()
        # A component without any configuration cannot subscribe to it, which is not a fault: one may be added later.
        is_new = type(fault) not in subscription.logged_faults and not isinstance(fault, model.ResourceNotFoundError)
        subscription.logged_faults.add(type(fault))
        self._diagnosis.log(logging.ERROR if is_new else logging.DEBUG, operation_name, subscription.topic, fault, "; retrying")
        subscription.failed(self._monotonic(), denied=subscription.kind == "cloud" and isinstance(fault, model.UnauthorizedError))

    # -- renewing

    def mark_stale(self, kinds: tuple[str, ...], reason: str) -> None:
        """Renew the subscriptions of these kinds at the next `maintain`."""
        for kind in kinds:
            self._stale.setdefault(kind, reason)

    def renew(self, reason: str, kinds: tuple[str, ...] = KINDS) -> None:
        """Close and open the subscriptions of these kinds, except those that wait for an answer or were denied recently."""
        now = self._monotonic()
        due = [
            each
            for each in self._subscriptions.values()
            if each.kind in kinds and each.answer is None and not (each.denied.tries and now < each.next_attempt)
        ]
        if due:
            level = logging.WARNING if self.resubscribe_count else logging.INFO
            log.log(level, "renewing %d subscriptions: %s", len(due), reason)
            self.resubscribe_count += "local" in kinds
        for subscription in due:
            subscription.close()
        for kind in kinds:
            self._stale.pop(kind, None)
        for subscription in due:
            self.attempt(subscription)
        if "configuration" in kinds:
            self.poll_configuration()

    def renew_stale(self) -> bool:
        """Renew the subscriptions that were marked stale; False if there are none."""
        if not self._stale:
            return False
        self.renew(next(iter(self._stale.values())), tuple(self._stale))
        return True

    def maintain(self) -> None:
        """Take up answers, reopen ended subscriptions, retry failed ones, and renew silent streams."""
        now = self._monotonic()
        for subscription in list(self._subscriptions.values()):
            if subscription.answer is not None and subscription.answer.done():
                self._answered(subscription)
            elif subscription.operation is not None and subscription.closed.is_set():
                log.warning("the nucleus ended the subscription to %s; subscribing again", subscription.where)
                subscription.ended(now)
            elif subscription.operation is None and now >= subscription.next_attempt:
                self.attempt(subscription)
            elif subscription.topic in topics.STREAMS:
                self._renew_if_silent(subscription, now)

    def _renew_if_silent(self, subscription: Subscription, now: float) -> None:
        """Subscribe again, with back-off, to a topic on which a working producer is never silent."""
        last_message = subscription.last_message or 0.0
        if last_message > subscription.open_since:
            subscription.silent_renewals = 0
        timeout_s = min(MAX_SILENCE_S, 3 * KEEP_ALIVE_S * 2 ** min(subscription.silent_renewals, 10))
        if subscription.operation is None or now - max(last_message, subscription.open_since) < timeout_s:
            return
        level = logging.DEBUG if subscription.silent_renewals else logging.WARNING
        log.log(level, "%s: not even a keep-alive for %.1f s; subscribing again", subscription.topic, timeout_s)
        subscription.silent_renewals += 1
        subscription.close()
        self.attempt(subscription)
        self.resubscribe_count += 1

    # -- polling the configuration

    def poll_configuration(self) -> None:
        """Queue a poll, because a change event may have been missed."""
        self._last_poll = self._monotonic()
        if ("configuration", "") in self._subscriptions:
            self._queue.put(Received("configuration", payload=POLLED))

    def poll_if_due(self) -> None:
        if self._monotonic() - self._last_poll >= self._poll_interval_s:
            self.poll_configuration()
