"""The connection of a component to its nucleus: publish, subscribe, and read the configuration.

`IpcBus` is used by one thread, the component's. The SDK calls back on its own threads; those callbacks only append to a bounded queue and
never make an IPC call. The bus provides the parts that the SDK lacks: it reconnects, subscribes again, and detects subscriptions that no
longer deliver, by a heartbeat through the broker and back.

Times are seconds of the monotonic clock.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient

from edgeml.auth.verifier import MessageVerifier
from edgeml.backoff import Backoff
from edgeml.errors import BusError, ConfigurationTooLarge
from edgeml.ipc import sdk_adapter
from edgeml.ipc.call_errors import name
from edgeml.ipc.configuration_reader import ConfigurationReader, KnownKeys
from edgeml.ipc.connection import Connection
from edgeml.ipc.denial_diagnosis import DenialDiagnosis
from edgeml.ipc.heartbeat import Heartbeat
from edgeml.ipc.publisher import Publisher
from edgeml.ipc.receive_queue import ReceiveQueue
from edgeml.ipc.sdk_adapter import Received
from edgeml.ipc.subscriptions import SubscriptionManager
from edgeml.messages import topics

HEARTBEAT_S = 2.0
HEARTBEAT_TIMEOUT_S = 4.0
"""An unanswered heartbeat older than this means that the subscriptions are dead. Recovery takes at most 10 s in all."""
POLL_S = 5.0
"""Interval of polls of the configuration: a store that restarts between two heartbeats ends its subscriptions unnoticed. One small call."""
CLOUD_PATIENCE_S = 0.5


class RestartRequired(BusError):
    """The nucleus does not know this process any more; it must be restarted by the nucleus to get a new SVCUID."""


class Bus(Protocol):
    """The part of the bus that services use."""

    def publish(self, topic: str, payload: bytes) -> bool: ...
    def publish_cloud(self, topic: str, payload: bytes) -> bool: ...
    def resubscribe_unmonitored(self, reason: str) -> None: ...
    def take_queued(self, topic: str) -> Received | None: ...


class IpcBus:
    """Publish, subscribe and read the configuration over Greengrass IPC.

    Args:
        component: full name of this component.
        verifier: signs and verifies the messages of signed topics; None: all messages pass unchanged.
        capacity: maximum number of waiting blocks per topic, see `edgeml.ipc.receive_queue`.
        monotonic, sleep: the clock.
        patience_s: for how long a failed publish is retried.
        heartbeat_s, heartbeat_timeout_s: interval of the heartbeat, and how long one may be unanswered.
        poll_s: see `POLL_S`.

    Attributes:
        queue: received items.
    """

    def __init__(
        self,
        component: str,
        verifier: MessageVerifier | None = None,
        *,
        capacity: int = 2000,
        patience_s: float = 8.0,
        heartbeat_s: float = HEARTBEAT_S,
        heartbeat_timeout_s: float = HEARTBEAT_TIMEOUT_S,
        poll_s: float = POLL_S,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.component, self.verifier = component, verifier
        self.queue = ReceiveQueue(capacity)
        self._monotonic, self._sleep, self._patience_s = monotonic, sleep, patience_s
        self._connection = Connection(monotonic)
        self._reader = ConfigurationReader()
        diagnosis = DenialDiagnosis(self._connection, self._reader)
        self._subscriptions = SubscriptionManager(self._connection, diagnosis, self._put, self.queue, poll_s, monotonic)
        self._publisher = Publisher(self._connection, self._connected, self._subscriptions, diagnosis, monotonic, sleep)
        self._heartbeat = Heartbeat(topics.heartbeat(component), heartbeat_s, heartbeat_timeout_s)

    # -- the connection

    def open(self) -> None:
        """Connect; waits as long as the broker is down.

        Raises:
            RestartRequired: the nucleus does not know us.
        """
        while not self._connected():
            self._raise_fatal_error()
            self._sleep(max(0.0, self._connection.next_attempt - self._monotonic()))

    def close(self) -> None:
        """Close the connection; messages in transit are lost."""
        self._connection.drop()

    def stop_retrying(self) -> None:
        """Make every call fail at its first fault, because the component stops. May be called in a signal handler."""
        self._connection.shutting_down = True

    def _connected(self) -> GreengrassCoreIPCClient | None:
        """The client, after one attempt to connect if necessary."""
        if self._connection.attempt():
            self._retry_denied()
            self._subscriptions.close_all()
            self._renew("the connection is new")
        return self._connection.client

    def _raise_fatal_error(self) -> None:
        if self._connection.fatal_error:
            raise RestartRequired(self._connection.fatal_error)

    def _retry_denied(self) -> None:
        """Retry denied calls at the next opportunity: the permission may have been added."""
        self._publisher.retry_denied()
        self._subscriptions.retry_denied()

    # -- publishing

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish to components on this device, signed if the topic requires it; True when the nucleus accepted it.

        See `Publisher.publish` for retries.
        """
        return self._publisher.publish("local", topic, payload, self._patience_s, self.verifier.sign if self.verifier else None)

    def publish_cloud(self, topic: str, payload: bytes) -> bool:
        """Publish to IoT Core with QoS 1; True when the nucleus accepted it. On Lite this does not prove that the cloud received it.

        Retried only briefly: a gateway without a link must continue its local work.
        """
        return self._publisher.publish("cloud", topic, payload, CLOUD_PATIENCE_S)

    # -- receiving

    @property
    def resubscribe_count(self) -> int:
        """How often subscriptions were renewed; a consumer requests a replay when it has grown."""
        return self._subscriptions.resubscribe_count

    def subscribe(self, topic: str) -> None:
        """Receive the messages that components publish on `topic`, including this one's."""
        self._subscribe("local", topic)

    def subscribe_cloud(self, topic: str) -> None:
        """Receive the messages of IoT Core on `topic`."""
        self._subscribe("cloud", topic)

    def watch_configuration(self) -> None:
        """Receive `configuration` when this component's configuration changes, and periodically."""
        self._subscribe("configuration", "")

    def start_heartbeat(self) -> None:
        """Let `receive` detect dead subscriptions from now on."""
        self._subscribe("local", self._heartbeat.topic)

    def unsubscribe(self, topic: str) -> None:
        """Stop receiving `topic`, local and from the cloud."""
        self._subscriptions.remove("local", topic)
        self._subscriptions.remove("cloud", topic)

    def message_ages(self) -> dict[str, float | None]:
        """Seconds since the last message on each subscribed local topic, including the heartbeat; None before the first."""
        return self._subscriptions.message_ages()

    def resubscribe_unmonitored(self, reason: str) -> None:
        """Renew the subscriptions without a heartbeat, to IoT Core and to the configuration, at the next `receive`."""
        self._subscriptions.mark_stale(("cloud", "configuration"), reason)

    def receive(self, timeout: float) -> Received | None:
        """Return the next item, or None after at most `timeout` seconds. Maintains the connection and the subscriptions.

        Raises:
            RestartRequired: the nucleus no longer knows us. No other error requires a restart.
        """
        give_up = self._monotonic() + timeout
        while True:
            self._maintain()
            left = give_up - self._monotonic()
            stop = left <= 0 or self._connection.shutting_down
            item = self.queue.get(0.0 if stop else min(left, self._heartbeat.interval_s / 2))
            if item is not None and item.kind == "configuration" and item.payload != sdk_adapter.POLLED:
                self._retry_denied()
            if item is not None or stop:
                return item

    def take_queued(self, topic: str) -> Received | None:
        """Return the oldest waiting item of a local topic out of turn; None: there is none."""
        return self.queue.take(topic)

    def _subscribe(self, kind: str, topic: str) -> None:
        subscription = self._subscriptions.add(kind, topic)
        if subscription.operation is None and self._connected() is not None:
            self._subscriptions.attempt(subscription)

    def _put(self, item: Received) -> None:
        # Called on a thread of the SDK, so it touches only a few fields and the queue. A message that fails verification does not count
        # as received and takes no place in the queue, so that a neighbor who floods a topic displaces nothing.
        if item.kind == "local":
            verified = self.verifier.verify(item.topic, item.payload) if self.verifier is not None else (item.payload, 0.0)
            if verified is None:
                return
            payload, age_s = verified
            now = self._monotonic()
            item = Received(item.kind, item.topic, payload, now - age_s)
            subscription = self._subscriptions.get("local", item.topic)
            if subscription is not None:
                subscription.last_message = now
            if item.topic == self._heartbeat.topic:
                self._heartbeat.received()
                return
        self.queue.put(item)

    def _renew(self, reason: str) -> None:
        self._heartbeat.reset()
        self._subscriptions.renew(reason)

    def _maintain(self) -> None:
        if self._connected() is None:
            self._raise_fatal_error()
            return
        now = self._monotonic()
        self._subscriptions.maintain()
        self._send_heartbeat(now)
        overdue_s = self._heartbeat.overdue_s(now)
        if overdue_s is not None:
            self._renew(f"no heartbeat returned for {overdue_s:.1f} s")
        elif self._subscriptions.renew_stale():
            self._heartbeat.reset()
        self._subscriptions.poll_if_due()

    def _send_heartbeat(self, now: float) -> None:
        subscription = self._subscriptions.get("local", self._heartbeat.topic)
        if subscription is not None and self._heartbeat.due(now):
            send = functools.partial(self._publisher.publish, "local", self._heartbeat.topic, b"", 0.0)
            self._heartbeat.send(now, send, subscribed=subscription.operation is not None)

    # -- configuration and secrets

    def secret(self, name: str) -> bytes:
        """The content of a Greengrass secret; raises AuthenticationError if it cannot be read."""
        return sdk_adapter.secret(self._connected(), name)

    def configuration(self, patience_s: float | None = None, known: KnownKeys | None = None) -> dict[str, Any]:
        """This component's whole configuration, as the nucleus returns it.

        Args:
            known: the keys to read if the configuration is too large for one answer; see `edgeml.ipc.configuration_reader`.

        Raises:
            ConfigurationTooLarge: a value does not fit into an answer.
            BusError: it cannot be read for `patience_s`, or that of the constructor.
        """
        give_up = self._monotonic() + (self._patience_s if patience_s is None else patience_s)
        backoff = Backoff(0.1, 1.0)
        while True:
            try:
                client = self._connected()
                if client is None:
                    raise BusError("there is no connection")
                before = self._reader.last
                whole = self._reader.read(functools.partial(sdk_adapter.configuration, client), known or {})
                if whole != before:
                    self._retry_denied()
                return whole
            except ConfigurationTooLarge:
                raise
            except Exception as fault:
                if self._connection.shutting_down or self._connection.fatal_error or self._monotonic() >= give_up:
                    store = isinstance(fault, (model.ServiceError, *sdk_adapter.LATE))
                    hint = "is the nucleus's configuration store running?" if store else "retrying"
                    raise BusError(f"the configuration cannot be read ({name(fault)}); {hint}") from None
                self._sleep(backoff.next())
