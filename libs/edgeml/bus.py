"""The one owner of the connection to the nucleus.

`IpcBus` is used by one thread, the component's. The SDK calls back on threads of its own; those callbacks only put on a bounded queue, and
no IPC call is ever made in them. What the SDK leaves undone is done here: connecting again, subscribing again, and noticing that
subscriptions have died without a word, by a heartbeat that goes through the broker and back.

Numbers below are seconds of the monotonic clock.
"""

from __future__ import annotations

import json
import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from awsiot import greengrasscoreipc
from awsiot.eventstreamrpc import LifecycleHandler
from awsiot.greengrasscoreipc import client as sdk
from awsiot.greengrasscoreipc import model

from edgeml import topics
from edgeml.backoff import Backoff
from edgeml.errors import BusError
from edgeml.messages import MAX_PAYLOAD

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 5.0
HEARTBEAT_S = 2.0
SILENCE_S = 5.0
"""Without a heartbeat for this long the subscriptions count as dead. Recovery is to take at most 10 s."""
CONNECT_TRIES = 8

PUBLISH, SUBSCRIBE = "aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"
PUBLISH_CLOUD, SUBSCRIBE_CLOUD = "aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"


class RelaunchNeeded(BusError):
    """Only the nucleus can help, by launching this component anew: it no longer knows our SVCUID."""


@dataclass(frozen=True)
class Received:
    """What `receive` returns. `kind` is `local`, `cloud` or `configuration` (something in it changed)."""

    kind: str
    topic: str = ""
    payload: bytes = b""


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
        inbox: messages that may wait; beyond it the oldest is dropped and counted in `dropped`.
        monotonic, sleep: the clock.
        patience_s: for how long a publish is tried again before it counts as failed.
        heartbeat_s, silence_s: how often a heartbeat is sent, and how long none may come back.

    Attributes:
        dropped: messages that came in faster than the component took them.
        renewed: how often subscriptions were renewed; a consumer asks for a replay when it has grown.
    """

    def __init__(
        self, component: str, *, inbox: int = 2000, patience_s: float = 8.0, heartbeat_s: float = HEARTBEAT_S, silence_s: float = SILENCE_S,
        monotonic: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.component = component
        self.dropped = 0
        self.renewed = 0
        self._monotonic, self._sleep, self._patience_s = monotonic, sleep, patience_s
        self._heartbeat_s, self._silence_s = heartbeat_s, silence_s
        self._inbox: queue.Queue[Received] = queue.Queue(inbox)
        self._client: sdk.GreengrassCoreIPCClient | None = None
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
                self._client = greengrasscoreipc.connect(lifecycle_handler=_Lifecycle(self), timeout=CALL_TIMEOUT_S)
                self._connected = True
                self._heard_at = self._monotonic()
                log.info("connected to the nucleus")
                return
            except KeyError as missing:
                raise RelaunchNeeded(f"the environment has no {missing}: this component is started by a Greengrass nucleus") from None
            except Exception as fault:  # awscrt raises many kinds, and every one of them means: not connected
                log.log(logging.WARNING if number == 1 else logging.DEBUG, "cannot connect to the nucleus (%s); trying again", _name(fault))
                self._sleep(backoff.next())
        raise RelaunchNeeded(f"no connection to the nucleus in {CONNECT_TRIES} tries; exiting so that it launches this component anew")

    def close(self) -> None:
        """Close the connection; pending messages are forgotten."""
        self._connected = False
        if self._client is not None:
            self._client.close()
            self._client = None

    def _ready(self) -> sdk.GreengrassCoreIPCClient:
        if not self._connected or self._client is None:
            if self._client is not None:
                self._client.close()
            self.open()
            self._renew("the connection is new")
        assert self._client is not None
        return self._client

    # -- sending

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish to components on this device; True when the nucleus took it.

        What fails is tried again with back-off for `patience_s`. What was refused for that long is tried just once a time from then on,
        so that a missing permission for one topic does not slow down the others.
        """
        return self._publish(topic, payload, self._patience_s)

    def _publish(self, topic: str, payload: bytes, patience_s: float) -> bool:
        request = model.PublishToTopicRequest(
            topic=topic, publish_message=model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
        )
        return self._send(PUBLISH, topic, len(payload), lambda client: client.new_publish_to_topic(), request, patience_s)

    def publish_cloud(self, topic: str, payload: bytes) -> bool:
        """Publish to IoT Core with QoS 1; True when the nucleus took it, which on Lite is no proof that the cloud has it.

        Not tried again for long: a gateway without a link must go on with its local work.
        """
        request = model.PublishToIoTCoreRequest(topic_name=topic, qos=model.QOS.AT_LEAST_ONCE, payload=payload)
        return self._send(PUBLISH_CLOUD, topic, len(payload), lambda client: client.new_publish_to_iot_core(), request, 0.5)

    def _send(self, operation: str, topic: str, size: int, make: Callable[[Any], Any], request: Any, patience_s: float) -> bool:
        if size > MAX_PAYLOAD:
            log.error("a message of %d bytes for %s is not sent: the nucleus takes %d at most; split it", size, topic, MAX_PAYLOAD)
            return False
        give_up = self._monotonic() + (0.0 if topic in self._refused else patience_s)
        backoff = Backoff(0.05, 1.0)
        while True:
            try:
                _call(make(self._ready()), request)
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
                        log.error("%s", _refusal(operation, topic, fault))
                    return False
                if backoff.tries == 0:
                    log.warning("%s; trying again", _refusal(operation, topic, fault))
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
        # Called on a thread of the SDK: only the queue is touched. The oldest goes first, the newest matters most.
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
        make, request, name = self._how(subscription)
        try:
            operation = make(self._ready())
            if subscription.operation is not None:
                return  # connecting anew has subscribed everything, this one included
            _call(operation, request)
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
            log.log(logging.ERROR if first else logging.DEBUG, "%s; trying again", _refusal(name, subscription.topic, fault))
            subscription.due = self._monotonic() + subscription.backoff.next()

    def _how(self, subscription: _Subscription) -> tuple[Callable[[Any], Any], Any, str]:
        topic = subscription.topic
        if subscription.kind == "local":
            local = _LocalHandler(self, topic)
            request = model.SubscribeToTopicRequest(topic=topic, receive_mode=model.ReceiveMode.RECEIVE_ALL_MESSAGES)
            return lambda client: client.new_subscribe_to_topic(local), request, SUBSCRIBE
        if subscription.kind == "cloud":
            cloud = _CloudHandler(self)
            request = model.SubscribeToIoTCoreRequest(topic_name=topic, qos=model.QOS.AT_LEAST_ONCE)
            return lambda client: client.new_subscribe_to_iot_core(cloud), request, SUBSCRIBE_CLOUD
        changes = _ConfigurationHandler(self)
        request = model.SubscribeToConfigurationUpdateRequest(key_path=[])
        make = lambda client: client.new_subscribe_to_configuration_update(changes)  # noqa: E731
        return make, request, "aws.greengrass#SubscribeToConfigurationUpdate"

    def _renew(self, why: str) -> None:
        """Subscribe everything anew; also what cannot be heard from, as it died together with what can."""
        log.warning("renewing %d subscriptions: %s", len(self._subscriptions), why)
        for subscription in self._subscriptions.values():
            if subscription.operation is not None:
                try:
                    subscription.operation.close()
                except Exception as fault:
                    log.debug("closing a dead subscription: %s", _name(fault))
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
            self._publish(self._heartbeat_topic, b"", 0.0)
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
                answer = _call(self._ready().new_get_configuration(), model.GetConfigurationRequest(key_path=[]))
                return answer.value if isinstance(answer.value, dict) else {}
            except model.ResourceNotFoundError:
                return {}
            except RelaunchNeeded:
                raise
            except Exception as fault:
                if self._monotonic() >= give_up:
                    sentence = f"the configuration cannot be read ({_name(fault)}); is the nucleus's configuration store running?"
                    raise BusError(sentence) from None
                self._sleep(backoff.next())


def _call(operation: Any, request: Any) -> Any:
    operation.activate(request).result(CALL_TIMEOUT_S)
    return operation.get_response().result(CALL_TIMEOUT_S)


def _name(fault: BaseException) -> str:
    text = str(fault)
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__


def _refusal(operation: str, topic: str, fault: BaseException) -> str:
    # Lite's errors have no text: the type is all there is.
    where = f"{operation} on {topic or 'the configuration'}"
    if isinstance(fault, model.UnauthorizedError):
        return f"UnauthorizedError: {where} is refused; add this resource to accessControl of the component's configuration"
    if isinstance(fault, model.ServiceError):
        return f"ServiceError: {where} failed; for IoT Core topics the device is offline"
    return f"{where} failed ({_name(fault)})"




class _Lifecycle(LifecycleHandler):
    def __init__(self, bus: IpcBus) -> None:
        self._bus = bus

    def on_disconnect(self, reason: Exception | None) -> None:
        if reason is not None:
            log.warning("the nucleus closed the connection (%s)", _name(reason))
        self._bus._connected = False

    def on_error(self, error: Exception) -> bool:
        log.warning("the connection to the nucleus has an error (%s)", _name(error))
        return True


class _LocalHandler(sdk.SubscribeToTopicStreamHandler):
    def __init__(self, bus: IpcBus, topic: str) -> None:
        super().__init__()
        self._bus, self._topic = bus, topic

    def on_stream_event(self, event: model.SubscriptionResponseMessage) -> None:
        if event.binary_message is not None:
            payload = bytes(event.binary_message.message or b"")
        elif event.json_message is not None:
            payload = json.dumps(event.json_message.message).encode()
        else:
            return
        self._bus._put(Received("local", self._topic, payload))

    def on_stream_error(self, error: Exception) -> bool:
        log.warning("the subscription to %s has an error (%s)", self._topic, _name(error))
        return False


class _CloudHandler(sdk.SubscribeToIoTCoreStreamHandler):
    def __init__(self, bus: IpcBus) -> None:
        super().__init__()
        self._bus = bus

    def on_stream_event(self, event: model.IoTCoreMessage) -> None:
        if event.message is not None:
            self._bus._put(Received("cloud", event.message.topic_name, bytes(event.message.payload or b"")))

    def on_stream_error(self, error: Exception) -> bool:
        log.warning("a subscription to IoT Core has an error (%s)", _name(error))
        return False


class _ConfigurationHandler(sdk.SubscribeToConfigurationUpdateStreamHandler):
    def __init__(self, bus: IpcBus) -> None:
        super().__init__()
        self._bus = bus

    def on_stream_event(self, event: model.ConfigurationUpdateEvents) -> None:
        self._bus._put(Received("configuration"))
