"""The one owner of the connection to the nucleus.

`IpcBus` is used by one thread, the component's. The SDK calls back on threads of its own; those callbacks only put on a bounded queue, and
no IPC call is ever made in them. What the SDK leaves undone is done here: connecting again, subscribing again, and noticing that
subscriptions have died without a word, by a heartbeat that goes through the broker and back.

Numbers below are seconds of the monotonic clock.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from awsiot import greengrasscoreipc
from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient

from edgeml import sdk, topics
from edgeml.backoff import Backoff
from edgeml.errors import BusError
from edgeml.guard import Guard
from edgeml.messages import MAX_PAYLOAD
from edgeml.sdk import Received

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
SILENCE_S = 5.0
"""Without a heartbeat for this long the subscriptions count as dead. Recovery is to take at most 10 s."""
CONNECT_TRIES = 8
CLOUD_PATIENCE_S = 0.5


class RelaunchNeeded(BusError):
    """Only the nucleus can help, by launching this component anew: it no longer knows our SVCUID."""


class Bus(Protocol):
    """What a service needs of the outside world."""

    def publish(self, topic: str, payload: bytes) -> bool: ...
    def publish_cloud(self, topic: str, payload: bytes) -> bool: ...


@dataclass
class _Subscription:
    kind: str
    topic: str
    operation: Any = None
    backoff: Backoff = field(default_factory=lambda: Backoff(0.2, 5.0))
    due: float = 0.0


class IpcBus:
    """Publish, subscribe and read the configuration over Greengrass IPC.

    Args:
        component: full name of this component.
        guard: seals and opens the messages of the topics that have seals; None: all go as they are.
        inbox: messages that may wait; beyond it the oldest is dropped and counted in `dropped`.
        monotonic, sleep: the clock.
        patience_s: for how long a publish is tried again before it counts as failed.
        heartbeat_s, silence_s: how often a heartbeat is sent, and how long none may come back.

    Attributes:
        dropped: messages that came in faster than the component took them.
        renewed: how often subscriptions were renewed; a consumer asks for a replay when it has grown.
    """

    def __init__(
        self, component: str, guard: Guard | None = None, *, inbox: int = 2000, patience_s: float = 8.0,
        heartbeat_s: float = HEARTBEAT_S, silence_s: float = SILENCE_S,
        monotonic: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.component, self.guard = component, guard
        self.dropped = 0
        self.renewed = 0
        self._monotonic, self._sleep, self._patience_s = monotonic, sleep, patience_s
        self._heartbeat_s, self._silence_s = heartbeat_s, silence_s
        self._inbox: queue.Queue[Received] = queue.Queue(inbox)
        self._client: GreengrassCoreIPCClient | None = None
        self._connected = False
        self._subscriptions: dict[tuple[str, str], _Subscription] = {}
        self._heartbeat_topic = topics.heartbeat(component)
        self._heard_at = self._beat_at = 0.0
        self._refused: set[str] = set()  # topics that were refused for the whole patience: tried once from then on

    # -- the connection

    def open(self) -> None:
        """Connect, with back-off.

        Raises:
            RelaunchNeeded: not in `CONNECT_TRIES` tries, or the nucleus does not know us.
        """
        backoff = Backoff(0.1, 3.0)
        for number in range(1, CONNECT_TRIES + 1):
            try:
                self._client = greengrasscoreipc.connect(lifecycle_handler=sdk.Lifecycle(self._gone), timeout=sdk.CALL_TIMEOUT_S)
                self._connected = True
                self._heard_at = self._monotonic()
                log.info("connected to the nucleus")
                return
            except KeyError as missing:
                raise RelaunchNeeded(f"the environment has no {missing}: this component is started by a Greengrass nucleus") from None
            except Exception as fault:  # awscrt raises many kinds, and every one of them means: not connected
                level = logging.WARNING if number == 1 else logging.DEBUG
                log.log(level, "cannot connect to the nucleus (%s); trying again", sdk.name(fault))
                self._sleep(backoff.next())
        raise RelaunchNeeded(f"no connection to the nucleus in {CONNECT_TRIES} tries; exiting so that it launches this component anew")

    def close(self) -> None:
        """Close the connection; pending messages are forgotten."""
        self._connected = False
        if self._client is not None:
            self._client.close()
            self._client = None

    def _gone(self) -> None:
        self._connected = False

    def _ready(self) -> GreengrassCoreIPCClient:
        if not self._connected or self._client is None:
            if self._client is not None:
                self._client.close()
            self.open()
            self._renew("the connection is new")
        assert self._client is not None
        return self._client

    # -- sending

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish to components on this device, sealed where the topic wants that; True when the nucleus took it.

        What fails is tried again with back-off for `patience_s`. What was refused for that long is tried just once a time from then on,
        so that a missing permission for one topic does not slow down the others.
        """
        return self._send(topic, payload, sdk.publish, self._patience_s)

    def publish_cloud(self, topic: str, payload: bytes) -> bool:
        """Publish to IoT Core with QoS 1; True when the nucleus took it, which on Lite is no proof that the cloud has it.

        Not tried again for long: a gateway without a link must go on with its local work.
        """
        return self._send(topic, payload, sdk.publish_cloud, CLOUD_PATIENCE_S)

    def _send(self, topic: str, payload: bytes, how: Callable[[str, bytes], tuple[str, sdk.Make, Any]], patience_s: float) -> bool:
        size = len(payload)
        if size > MAX_PAYLOAD:
            log.error("a message of %d bytes for %s is not sent: the nucleus takes %d at most; split it", size, topic, MAX_PAYLOAD)
            return False
        give_up = self._monotonic() + (0.0 if topic in self._refused else patience_s)
        backoff = Backoff(0.05, 1.0)
        while True:
            # At each try anew, because a sealed message is believed once, and only while it is fresh.
            sealed = self.guard.seal(topic, payload) if self.guard is not None and how is sdk.publish else payload
            if sealed is None:
                return False
            operation, make, request = how(topic, sealed)
            try:
                sdk.call(make(self._ready()), request)
                if topic in self._refused:
                    self._refused.discard(topic)
                    log.info("%s to %s works again", operation, topic)
                return True
            except RelaunchNeeded:
                raise
            except Exception as fault:
                if self._monotonic() >= give_up:
                    if topic not in self._refused:
                        self._refused.add(topic)
                        log.error("%s", sdk.refusal(operation, topic, fault))
                    return False
                if backoff.tries == 0:
                    log.warning("%s; trying again", sdk.refusal(operation, topic, fault))
                self._sleep(backoff.next())

    # -- receiving

    def subscribe(self, topic: str) -> None:
        """Receive what components publish on `topic`, this one's own included."""
        self._add("local", topic)

    def subscribe_cloud(self, topic: str) -> None:
        """Receive what IoT Core sends on `topic`."""
        self._add("cloud", topic)

    def watch_configuration(self) -> None:
        """Receive `configuration` when this component's configuration changes."""
        self._add("configuration", "")

    def unsubscribe(self, topic: str) -> None:
        """Stop receiving `topic`, local or from the cloud."""
        for kind in ("local", "cloud"):
            gone = self._subscriptions.pop((kind, topic), None)
            if gone is not None and gone.operation is not None:
                gone.operation.close()

    def start_heartbeat(self) -> None:
        """From now on `receive` notices when subscriptions have died."""
        self._add("local", self._heartbeat_topic)
        self._heard_at = self._monotonic()

    def receive(self, timeout: float) -> Received | None:
        """The next message, or None after at most `timeout` seconds. Also keeps the connection and the subscriptions alive."""
        self._maintain()
        give_up = self._monotonic() + timeout
        while True:
            left = give_up - self._monotonic()
            try:
                item = self._inbox.get(timeout=max(0.0, min(left, self._heartbeat_s / 2))) if left > 0 else self._inbox.get_nowait()
            except queue.Empty:
                if left <= 0:
                    return None
                self._maintain()
                continue
            if item.kind == "local" and item.topic == self._heartbeat_topic:
                self._heard_at = self._monotonic()
                continue
            return item

    def _put(self, item: Received) -> None:
        # Called on a thread of the SDK: only the queue is touched. What is refused takes no place in it, so a neighbour who floods a topic
        # pushes out nothing. The oldest goes first, the newest matters most.
        if item.kind == "local" and self.guard is not None:
            message = self.guard.open(item.topic, item.payload)
            if message is None:
                return
            item = Received(item.kind, item.topic, message)
        while True:
            try:
                self._inbox.put_nowait(item)
                return
            except queue.Full:
                try:
                    self._inbox.get_nowait()
                    self.dropped += 1
                except queue.Empty:
                    pass

    def _add(self, kind: str, topic: str) -> None:
        subscription = self._subscriptions.setdefault((kind, topic), _Subscription(kind, topic))
        if subscription.operation is None:
            self._try_subscribe(subscription)

    def _try_subscribe(self, subscription: _Subscription) -> None:
        name, make, request = sdk.SUBSCRIPTIONS[subscription.kind](subscription.topic, self._put)
        try:
            operation = make(self._ready())
            if subscription.operation is not None:
                return  # connecting anew has subscribed everything, this one included
            sdk.call(operation, request)
            subscription.operation = operation
            if subscription.backoff.tries:
                log.info("%s to %s works again", name, subscription.topic or "the configuration")
                self.renewed += 1
            subscription.backoff.reset()
        except RelaunchNeeded:
            raise
        except Exception as fault:
            # A component without any configuration cannot watch it; that may still come.
            first = subscription.backoff.tries == 0 and not isinstance(fault, model.ResourceNotFoundError)
            log.log(logging.ERROR if first else logging.DEBUG, "%s; trying again", sdk.refusal(name, subscription.topic, fault))
            subscription.due = self._monotonic() + subscription.backoff.next()

    def _renew(self, why: str) -> None:
        """Subscribe everything anew; also what cannot be heard from, as it died together with what can."""
        log.warning("renewing %d subscriptions: %s", len(self._subscriptions), why)
        for subscription in self._subscriptions.values():
            if subscription.operation is not None:
                try:
                    subscription.operation.close()
                except Exception as fault:
                    log.debug("closing a dead subscription: %s", sdk.name(fault))
                subscription.operation = None
        self._heard_at = self._monotonic()
        for subscription in self._subscriptions.values():
            if subscription.operation is None:
                self._try_subscribe(subscription)
        self.renewed += 1
        # A change of the configuration may have been missed.
        self._put(Received("configuration"))

    def _maintain(self) -> None:
        now = self._monotonic()
        if not self._connected:
            self._ready()
        for subscription in list(self._subscriptions.values()):
            if subscription.operation is None and now >= subscription.due:
                self._try_subscribe(subscription)
        heartbeat = self._subscriptions.get(("local", self._heartbeat_topic))
        if heartbeat is None:
            return
        if now - self._beat_at >= self._heartbeat_s:
            self._beat_at = now
            self._send(self._heartbeat_topic, b"", sdk.publish, 0.0)
        if heartbeat.operation is not None and now - self._heard_at > self._silence_s:
            self._renew(f"no heartbeat came back for {now - self._heard_at:.1f} s")

    # -- configuration

    def configuration(self) -> dict[str, Any]:
        """This component's whole configuration, as the nucleus has it.

        Raises:
            BusError: it cannot be read for `patience_s`.
        """
        give_up = self._monotonic() + self._patience_s
        backoff = Backoff(0.1, 1.0)
        while True:
            try:
                answer = sdk.call(self._ready().new_get_configuration(), model.GetConfigurationRequest(key_path=[]))
                return answer.value if isinstance(answer.value, dict) else {}
            except model.ResourceNotFoundError:
                return {}
            except RelaunchNeeded:
                raise
            except Exception as fault:
                if self._monotonic() >= give_up:
                    sentence = f"the configuration cannot be read ({sdk.name(fault)}); is the nucleus's configuration store running?"
                    raise BusError(sentence) from None
                self._sleep(backoff.next())
