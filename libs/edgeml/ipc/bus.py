"""The one owner of what a component says to its nucleus and hears from it.

`IpcBus` is used by one thread, the component's. The SDK calls back on threads of its own; those callbacks only put on a bounded queue, and
no IPC call is ever made in them. What the SDK leaves undone is done here: connecting again, subscribing again, and noticing that
subscriptions have died without a word, by a heartbeat that goes through the broker and back.

What cannot be heard from (the configuration, IoT Core) is renewed together with what can, whenever a heartbeat is missed, and whenever
calls that failed for a while work again: something has been restarted then. Renewed alone is a topic of `topics.STREAMS` on which not
even a keep-alive came for a while.

Numbers below are seconds of the monotonic clock.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, Protocol

from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient

from edgeml.auth.verifier import MessageVerifier
from edgeml.backoff import Backoff
from edgeml.errors import BusError, ConfigurationTooLarge
from edgeml.ipc import sdk_adapter
from edgeml.ipc.call_errors import name
from edgeml.ipc.configuration_reader import ConfigurationReader, Known
from edgeml.ipc.connection import Connection
from edgeml.ipc.denial_diagnosis import DenialDiagnosis
from edgeml.ipc.publish_failures import PublishFailures
from edgeml.ipc.receive_queue import ReceiveQueue
from edgeml.ipc.sdk_adapter import Received
from edgeml.ipc.subscription import Subscription
from edgeml.log_throttle import REPEAT_S, RateLimitedLog
from edgeml.messages import MAX_PAYLOAD, topics
from edgeml.messages.sequencing import KEEP_ALIVE_S

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
SILENCE_S = 4.0
"""With a heartbeat unanswered for this long the subscriptions count as dead. Recovery is to take at most 10 s."""
REREAD_S = 5.0
"""The configuration is read again after this long even when nothing tells of a change: a store that restarts between two heartbeats takes
its subscriptions along unseen. One small call."""
CLOUD_PATIENCE_S = 0.5
KINDS = ("local", "cloud", "configuration")


class RelaunchNeeded(BusError):
    """Only the nucleus can help, by launching this component anew: it no longer knows our SVCUID."""


class Bus(Protocol):
    """What a service needs of the outside world."""

    def publish(self, topic: str, payload: bytes) -> bool: ...
    def publish_cloud(self, topic: str, payload: bytes) -> bool: ...
    def renew_unheard(self, why: str) -> None: ...
    def take_waiting(self, topic: str) -> Received | None: ...


class IpcBus:
    """Publish, subscribe and read the configuration over Greengrass IPC.

    Args:
        component: full name of this component.
        guard: seals and opens the messages of the topics that have seals; None: all go as they are.
        inbox: blocks of a topic that may wait, see `edgeml.ipc.receive_queue`.
        monotonic, sleep: the clock.
        patience_s: for how long a publish is tried again before it counts as failed.
        heartbeat_s, silence_s: how often a heartbeat is sent, and how long one may be unanswered.
        reread_s: see `REREAD_S`.

    Attributes:
        renewed: how often subscriptions were renewed; a consumer asks for a replay when it has grown.
        hurry: nothing is tried a second time any more; the component is to end.
    """

    def __init__(
        self,
        component: str,
        guard: MessageVerifier | None = None,
        *,
        inbox: int = 2000,
        patience_s: float = 8.0,
        heartbeat_s: float = HEARTBEAT_S,
        silence_s: float = SILENCE_S,
        reread_s: float = REREAD_S,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.component, self.guard = component, guard
        self.renewed = 0
        self.hurry = False
        self.inbox = ReceiveQueue(inbox)
        self._monotonic, self._sleep, self._patience_s = monotonic, sleep, patience_s
        self._heartbeat_s, self._silence_s, self._reread_s = heartbeat_s, silence_s, reread_s
        self._connection = Connection(monotonic)
        self._seldom = RateLimitedLog(log, monotonic)
        self._reader = ConfigurationReader()
        self._causes = DenialDiagnosis(self._connection, self._reader)
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._heartbeat_topic = topics.heartbeat(component)
        self._beat_at = 0.0
        self._read_at = monotonic()
        self._unanswered: float | None = None  # since when a heartbeat is on its way
        self._troubles: dict[tuple[str, str], PublishFailures] = {}  # kind and topic
        self._logged: dict[tuple[int, str, str, type], float] = {}  # level, kind, topic, fault: when a failed publish was logged last
        self._stale: dict[str, str] = {}  # kinds of subscriptions to renew, and why

    # -- the connection

    def open(self) -> None:
        """Connect, however long the broker is away.

        Raises:
            RelaunchNeeded: the nucleus does not know us.
        """
        while not self._connected():
            if self._connection.hopeless:
                raise RelaunchNeeded(self._connection.hopeless)
            self._sleep(max(0.0, self._connection.due - self._monotonic()))

    def close(self) -> None:
        """Close the connection; pending messages are forgotten."""
        self._connection.drop()

    def _connected(self) -> GreengrassCoreIPCClient | None:
        """The client, if need be after one try to connect."""
        if self._connection.attempt():
            self._unanswered = None
            self._try_refused()
            for subscription in self._subscriptions.values():
                subscription.end()
            self._renew("the connection is new", KINDS)
        return self._connection.client

    # -- sending

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish to components on this device, sealed where the topic wants that; True when the nucleus took it.

        What fails is tried again with back-off for `patience_s`. What was refused for that long is tried just once a time from then on,
        so that a missing permission for one topic does not slow down the others. While there is no connection, only the first waits.
        """
        return self._send("local", topic, payload, sdk_adapter.publish, self._patience_s)

    def publish_cloud(self, topic: str, payload: bytes) -> bool:
        """Publish to IoT Core with QoS 1; True when the nucleus took it, which on Lite is no proof that the cloud has it.

        Not tried again for long: a gateway without a link must go on with its local work.
        """
        return self._send("cloud", topic, payload, sdk_adapter.publish_cloud, CLOUD_PATIENCE_S)

    def _send(
        self, kind: str, topic: str, payload: bytes, how: Callable[[str, bytes], tuple[str, sdk_adapter.Make, Any]], patience_s: float
    ) -> bool:
        size = len(payload)
        if size > MAX_PAYLOAD:
            self._seldom.error("a message of %d bytes for %s is not sent: the nucleus takes %d at most; split it", size, topic, MAX_PAYLOAD)
            return False
        trouble = self._troubles.get((kind, topic))
        if trouble is not None and self._monotonic() < trouble.due:
            return False
        give_up = self._monotonic() + (0.0 if trouble is not None and trouble.given_up else patience_s)
        backoff = Backoff(0.05, 1.0)
        while True:
            client = self._connected()
            if client is None:
                if self.hurry or self._connection.hopeless or self._monotonic() >= min(give_up, self._connection.lost_at + patience_s):
                    return False
                self._sleep(min(backoff.next(), 0.2))
                continue
            # At each try anew, because a sealed message is believed once, and only while it is fresh.
            sealed = self.guard.seal(topic, payload) if self.guard is not None and kind == "local" else payload
            if sealed is None:
                return False
            operation, make, request = how(topic, sealed)
            try:
                sdk_adapter.call(make(client), request, sdk_adapter.CLOUD_TIMEOUT_S if kind == "cloud" else sdk_adapter.CALL_TIMEOUT_S)
                self._sent(kind, operation, topic)
                return True
            except Exception as fault:
                if isinstance(fault, sdk_adapter.LATE) and kind == "local":
                    self._connection.drop()  # a broker that does not answer at all: the next calls must not wait as long
                if self._connection.client is not None and not self._failed(kind, operation, topic, fault, give_up, backoff):
                    return False
                self._sleep(backoff.next())

    def _sent(self, kind: str, operation: str, topic: str) -> None:
        trouble = self._troubles.pop((kind, topic), None)
        if trouble is None:
            return
        if trouble.given_up:
            log.info("%s to %s works again", operation, topic)
        now = self._monotonic()
        for stale in trouble.stale(now, echoed=(kind, topic) in self._subscriptions):
            why = f"{operation} to {topic} failed for {now - trouble.since:.1f} s, and subscriptions may have died with it"
            self._stale.setdefault(stale, why)

    def _failed(self, kind: str, operation: str, topic: str, fault: Exception, give_up: float, backoff: Backoff) -> bool:
        """Whether to try again."""
        now = self._monotonic()
        trouble = self._troubles.setdefault((kind, topic), PublishFailures(kind, now, type(fault)))
        trouble.fault = type(fault)
        if self.hurry:
            return False
        if now >= give_up:
            if trouble.give_up(now):
                self._complain_seldom(logging.ERROR, kind, operation, topic, fault)
            return False
        if backoff.tries == 0:
            self._complain_seldom(logging.WARNING, kind, operation, topic, fault, "; trying again")
        return True

    def _complain_seldom(self, level: int, kind: str, operation: str, topic: str, fault: Exception, suffix: str = "") -> None:
        """A buffer that fills and empties again fails every few calls."""
        now, what = self._monotonic(), (level, kind, topic, type(fault))
        if now - self._logged.get(what, -REPEAT_S) >= REPEAT_S:
            self._logged[what] = now
            self._complain(level, operation, topic, fault, suffix)

    def _complain(self, level: int, operation: str, topic: str, fault: Exception, suffix: str = "") -> None:
        """Log why a call failed; nothing of it is an error while the component is being stopped."""
        self._causes.log(logging.DEBUG if self.hurry else level, operation, topic, fault, suffix)

    def _try_refused(self) -> None:
        """What was refused may be permitted now."""
        for trouble in self._troubles.values():
            trouble.due = 0.0
            trouble.backoff.reset()
        for subscription in self._subscriptions.values():
            if subscription.refused.tries:
                subscription.refused.reset()
                subscription.said.clear()
                subscription.due = 0.0

    # -- receiving

    def subscribe(self, topic: str) -> None:
        """Receive what components publish on `topic`, this one's own included."""
        self._add("local", topic)

    def subscribe_cloud(self, topic: str) -> None:
        """Receive what IoT Core sends on `topic`."""
        self._add("cloud", topic)

    def watch_configuration(self) -> None:
        """Receive `configuration` when this component's configuration changes, and now and then."""
        self._add("configuration", "")

    def unsubscribe(self, topic: str) -> None:
        """Stop receiving `topic`, local or from the cloud."""
        for kind in ("local", "cloud"):
            gone = self._subscriptions.pop((kind, topic), None)
            if gone is not None:
                gone.end()

    def start_heartbeat(self) -> None:
        """From now on `receive` notices when subscriptions have died."""
        self._add("local", self._heartbeat_topic)

    def heard(self) -> dict[str, float | None]:
        """Seconds since a message came on each local topic that is subscribed to, the heartbeat included; None: none came yet."""
        now = self._monotonic()
        local = [s for s in self._subscriptions.values() if s.kind == "local"]
        return {s.topic: None if s.heard_at is None else now - s.heard_at for s in local}

    def renew_unheard(self, why: str) -> None:
        """Renew what cannot be heard from, at the next `receive`: it is known to have died."""
        for kind in ("cloud", "configuration"):
            self._stale.setdefault(kind, why)

    def receive(self, timeout: float) -> Received | None:
        """The next message, or None after at most `timeout` seconds. Also keeps the connection and the subscriptions alive.

        Raises:
            RelaunchNeeded: the nucleus does not know us any more. Nothing else ever asks for a relaunch.
        """
        give_up = self._monotonic() + timeout
        while True:
            self._maintain()
            left = give_up - self._monotonic()
            item = self.inbox.get(0.0 if left <= 0 or self.hurry else min(left, self._heartbeat_s / 2))
            if item is not None and item.kind == "configuration" and item.payload != sdk_adapter.UNTOLD:
                self._try_refused()
            if item is not None or left <= 0 or self.hurry:
                return item

    def take_waiting(self, topic: str) -> Received | None:
        """The oldest message that waits on a local topic, before its turn; None: none waits."""
        return self.inbox.take(topic)

    def _put(self, item: Received) -> None:
        # Called on a thread of the SDK: a few fields and the queue are touched. What is refused is not heard and takes no place, so a
        # neighbour who floods a topic pushes out nothing.
        if item.kind == "local":
            opened = self.guard.open_aged(item.topic, item.payload) if self.guard is not None else (item.payload, 0.0)
            if opened is None:
                return
            now = self._monotonic()
            item = Received(item.kind, item.topic, opened[0], now - opened[1])
            subscription = self._subscriptions.get(("local", item.topic))
            if subscription is not None:
                subscription.heard_at = now
            if item.topic == self._heartbeat_topic:
                self._unanswered = None
                return
        self.inbox.put(item)

    def _add(self, kind: str, topic: str) -> None:
        subscription = self._subscriptions.setdefault((kind, topic), Subscription(kind, topic))
        if subscription.operation is None and self._connected() is not None:
            self._try_subscribe(subscription)

    def _try_subscribe(self, subscription: Subscription) -> None:
        client = self._connection.client
        if client is None or subscription.operation is not None:
            return  # connecting anew subscribes everything
        subscription.closed = threading.Event()
        operation_name, make, request = sdk_adapter.SUBSCRIPTIONS[subscription.kind](subscription.topic, self._put, subscription.closed.set)
        try:
            operation = make(client)
            if subscription.kind != "cloud":
                sdk_adapter.open_stream(operation, request)
        except Exception as fault:
            self._not_subscribed(subscription, operation_name, fault)
            return
        if subscription.kind == "cloud":
            self._begin_cloud(subscription, operation_name, operation, request)
        else:
            self._subscribed(subscription, operation_name, operation)

    def _begin_cloud(self, subscription: Subscription, operation_name: str, operation: Any, request: Any) -> None:
        """Classic answers when IoT Core has, which may take hours. So the answer is waited for without holding up local work."""
        late = any(each.answer is not None for each in self._subscriptions.values())
        try:
            answer = sdk_adapter.begin(operation, request)
        except Exception as fault:
            self._not_subscribed(subscription, operation_name, fault)
            return
        subscription.operation, subscription.answer, subscription.stands_at = operation, answer, self._monotonic()
        # Mostly it comes at once. Where one is late, the others are too.
        wait([answer], 0.0 if late else sdk_adapter.CLOUD_TIMEOUT_S)
        if answer.done():
            self._answered(subscription)
        else:
            log.info("%s to %s has no answer yet; it comes when the nucleus reaches IoT Core", operation_name, subscription.topic)

    def _answered(self, subscription: Subscription) -> None:
        operation, answer, subscription.answer = subscription.operation, subscription.answer, None
        try:
            answer.result(0)
        except Exception as fault:
            subscription.end()
            self._not_subscribed(subscription, sdk_adapter.SUBSCRIBE_CLOUD, fault)
            return
        self._subscribed(subscription, sdk_adapter.SUBSCRIBE_CLOUD, operation)

    def _subscribed(self, subscription: Subscription, operation_name: str, operation: Any) -> None:
        subscription.operation, subscription.stands_at = operation, self._monotonic()
        if subscription.backoff.tries or subscription.refused.tries:
            log.info("%s to %s works again", operation_name, subscription.topic or "the configuration")
            if subscription.kind == "configuration":
                self._reread()
            else:
                self.renewed += 1
        subscription.backoff.reset()
        subscription.refused.reset()
        subscription.said.clear()

    def _not_subscribed(self, subscription: Subscription, operation_name: str, fault: Exception) -> None:
        if isinstance(fault, sdk_adapter.LATE) and subscription.kind != "cloud":
            self._connection.drop()
        # A component without any configuration cannot watch it; that may still come.
        news = type(fault) not in subscription.said and not isinstance(fault, model.ResourceNotFoundError)
        subscription.said.add(type(fault))
        self._complain(logging.ERROR if news else logging.DEBUG, operation_name, subscription.topic, fault, "; trying again")
        refused = subscription.kind == "cloud" and isinstance(fault, model.UnauthorizedError)
        pause = subscription.refused.next() if refused else subscription.backoff.next()
        subscription.due = self._monotonic() + pause

    def _renew(self, why: str, kinds: tuple[str, ...]) -> None:
        now = self._monotonic()
        wanted = [
            each
            for each in self._subscriptions.values()
            if each.kind in kinds and each.answer is None and not (each.refused.tries and now < each.due)
        ]
        if wanted:
            log.log(logging.WARNING if self.renewed else logging.INFO, "renewing %d subscriptions: %s", len(wanted), why)
            self.renewed += "local" in kinds
        for subscription in wanted:
            subscription.end()
        self._unanswered = None
        for kind in kinds:
            self._stale.pop(kind, None)
        for subscription in wanted:
            self._try_subscribe(subscription)
        if "configuration" in kinds:
            self._reread()

    def _reread(self) -> None:
        # A change of the configuration may have been missed.
        self._read_at = self._monotonic()
        if ("configuration", "") in self._subscriptions:
            self.inbox.put(Received("configuration", payload=sdk_adapter.UNTOLD))

    def _maintain(self) -> None:
        if self._connected() is None:
            if self._connection.hopeless:
                raise RelaunchNeeded(self._connection.hopeless)
            return
        now = self._monotonic()
        for subscription in list(self._subscriptions.values()):
            if subscription.answer is not None and subscription.answer.done():
                self._answered(subscription)
            elif subscription.operation is not None and subscription.closed.is_set():
                log.warning("the nucleus ended the subscription to %s; subscribing anew", subscription.topic or "the configuration")
                subscription.operation, subscription.answer = None, None
                subscription.due = now + max(1.0, subscription.backoff.next())
            elif subscription.operation is None and now >= subscription.due:
                self._try_subscribe(subscription)
            elif subscription.topic in topics.STREAMS:
                self._listen(subscription, now)
        heartbeat = self._subscriptions.get(("local", self._heartbeat_topic))
        if heartbeat is not None and now - self._beat_at >= self._heartbeat_s:
            self._beat(now, heartbeat.operation is not None)
        if self._unanswered is not None and now - self._unanswered > self._silence_s:
            self._renew(f"no heartbeat came back for {now - self._unanswered:.1f} s", KINDS)
        elif self._stale:
            self._renew(next(iter(self._stale.values())), tuple(self._stale))
        if now - self._read_at >= self._reread_s:
            self._reread()

    def _beat(self, now: float, listening: bool) -> None:
        self._beat_at = now
        # Noted before it is sent: it may be back before the call has returned. A time when none could be sent says nothing.
        waiting = self._unanswered
        if waiting is None and listening:
            self._unanswered = now
        if not self._send("local", self._heartbeat_topic, b"", sdk_adapter.publish, 0.0):
            self._unanswered = waiting

    def _listen(self, subscription: Subscription, now: float) -> None:
        """Subscribe anew, with back-off, to a topic that is never silent when both its ends live."""
        heard_at = subscription.heard_at or 0.0
        if heard_at > subscription.stands_at:
            subscription.silences = 0
        patience_s = min(60.0, 3 * KEEP_ALIVE_S * 2 ** min(subscription.silences, 10))
        if subscription.operation is None or now - max(heard_at, subscription.stands_at) < patience_s:
            return
        level = logging.DEBUG if subscription.silences else logging.WARNING
        log.log(level, "%s: not even a keep-alive for %.1f s; subscribing anew", subscription.topic, patience_s)
        subscription.silences += 1
        subscription.end()
        self._try_subscribe(subscription)
        self.renewed += 1

    # -- configuration and secrets

    def secret(self, name: str) -> bytes:
        """What a Greengrass secret holds; raises AuthenticationError where it cannot be read."""
        return sdk_adapter.secret(self._connected(), name)

    def configuration(self, patience_s: float | None = None, known: Known | None = None) -> dict[str, Any]:
        """This component's whole configuration, as the nucleus has it.

        Args:
            known: the keys that count, for a configuration that is too large to be read at once; see `edgeml.ipc.configuration_reader`.

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
                    self._try_refused()
                return whole
            except ConfigurationTooLarge:
                raise
            except Exception as fault:
                if self.hurry or self._connection.hopeless or self._monotonic() >= give_up:
                    store = isinstance(fault, (model.ServiceError, *sdk_adapter.LATE))
                    hint = "is the nucleus's configuration store running?" if store else "it is tried again"
                    raise BusError(f"the configuration cannot be read ({name(fault)}); {hint}") from None
                self._sleep(backoff.next())
