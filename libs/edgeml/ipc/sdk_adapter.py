"""The part of awsiotsdk that `edgeml.ipc` uses: connecting, calls and subscriptions.

The SDK calls back on its own threads. Received items go to a `Put`, which must do no more than queue them: an IPC call inside a callback
deadlocks (sdk-python issues 193 and 233).
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup, SocketDomain, SocketOptions
from awsiot import eventstreamrpc
from awsiot.greengrasscoreipc import client as sdk
from awsiot.greengrasscoreipc import model

from edgeml.errors import AuthenticationError
from edgeml.ipc.call_errors import name

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 5.0
CLOUD_TIMEOUT_S = 1.0
"""Timeout of a publish to IoT Core; short, because it is retried later anyway and local work waits for it."""
LATE = (TimeoutError, FutureTimeoutError)
"""Raised by a call that times out; one and the same type from Python 3.11 on."""
SOCKET = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"

PUBLISH, SUBSCRIBE = "aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"
PUBLISH_CLOUD, SUBSCRIBE_CLOUD = "aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"
WATCH = "aws.greengrass#SubscribeToConfigurationUpdate"


@dataclass(frozen=True)
class Received:
    """A received item.

    Attributes:
        kind: `local`, `cloud` or `configuration` (something in it changed).
        sent_at: of a local message: monotonic time at which it was signed, or was received if it is unsigned.
    """

    kind: str
    topic: str = ""
    payload: bytes = b""
    sent_at: float = field(default=0.0, compare=False)


POLLED = b"polled"
"""Payload of a `configuration` item without an event: the configuration is read in case an event was missed."""

Put = Callable[[Received], None]
Closed = Callable[[], None]
Make = Callable[[sdk.GreengrassCoreIPCClient], Any]


def call(operation: Any, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """Make one call and return the answer; raises the faults of the SDK, or one of `LATE` on a timeout.

    The stream is closed in any case: Lite answers without ending it, and the SDK keeps an open stream, with everything that belongs to it,
    until the connection closes. If the nucleus has ended the stream, as classic does, closing sends nothing.
    """
    try:
        return _answer(operation, request, timeout_s)
    finally:
        operation.close()


def open_stream(operation: Any, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """As `call`, for a subscription: the stream stays open unless this raises."""
    try:
        return _answer(operation, request, timeout_s)
    except BaseException:
        operation.close()
        raise


def begin(operation: Any, request: Any) -> Any:
    """As `open_stream`, without waiting: returns a future of the answer."""
    try:
        operation.activate(request).result(CALL_TIMEOUT_S)
        return operation.get_response()
    except BaseException:
        operation.close()
        raise


def _answer(operation: Any, request: Any, timeout_s: float) -> Any:
    operation.activate(request).result(timeout_s)
    return operation.get_response().result(timeout_s)


def publish(topic: str, payload: bytes) -> tuple[str, Make, Any]:
    """Return the operation's name, its constructor and the request."""
    message = model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
    request = model.PublishToTopicRequest(topic=topic, publish_message=message)
    return PUBLISH, lambda client: client.new_publish_to_topic(), request


def publish_cloud(topic: str, payload: bytes) -> tuple[str, Make, Any]:
    """As `publish`, to IoT Core with QoS 1."""
    request = model.PublishToIoTCoreRequest(topic_name=topic, qos=model.QOS.AT_LEAST_ONCE, payload=payload)
    return PUBLISH_CLOUD, lambda client: client.new_publish_to_iot_core(), request


def configuration(client: sdk.GreengrassCoreIPCClient, key_path: list[str], timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """Read the component's configuration at a key path; raises as `call`."""
    return call(client.new_get_configuration(), model.GetConfigurationRequest(key_path=key_path), timeout_s).value


def secret(client: sdk.GreengrassCoreIPCClient | None, name: str) -> bytes:
    """Read a Greengrass secret, text or bytes; only the classic nucleus has secrets.

    Raises:
        AuthenticationError: it cannot be read.
    """
    if client is None:
        raise AuthenticationError(f"the secret {name!r} cannot be read while there is no connection to the nucleus")
    try:
        value = call(client.new_get_secret_value(), model.GetSecretValueRequest(secret_id=name)).secret_value
    except Exception as fault:  # the SDK raises many kinds
        # The fault's text is left out, so that nothing of the answer gets into a log.
        raise AuthenticationError(
            f"the secret {name!r} cannot be read ({type(fault).__name__}); this requires the classic nucleus, aws.greengrass.SecretManager "
            "with this secret, and aws.greengrass#GetSecretValue on its ARN in accessControl"
        ) from None
    return bytes(value.secret_binary) if value.secret_binary is not None else str(value.secret_string).encode()


def subscribe(topic: str, put: Put, closed: Closed) -> tuple[str, Make, Any]:
    """As `publish`; receives the component's own messages too. `closed` is called when either side has ended the subscription."""
    request = model.SubscribeToTopicRequest(topic=topic, receive_mode=model.ReceiveMode.RECEIVE_ALL_MESSAGES)
    return SUBSCRIBE, lambda client: client.new_subscribe_to_topic(_Local(topic, put, closed)), request


def subscribe_cloud(topic: str, put: Put, closed: Closed) -> tuple[str, Make, Any]:
    """As `publish`, from IoT Core with QoS 1."""
    request = model.SubscribeToIoTCoreRequest(topic_name=topic, qos=model.QOS.AT_LEAST_ONCE)
    return SUBSCRIBE_CLOUD, lambda client: client.new_subscribe_to_iot_core(_Cloud(put, closed)), request


def watch(_: str, put: Put, closed: Closed) -> tuple[str, Make, Any]:
    """As `publish`: changes of the component's own configuration."""
    request = model.SubscribeToConfigurationUpdateRequest(key_path=[])
    return WATCH, lambda client: client.new_subscribe_to_configuration_update(_Configuration(put, closed)), request


SUBSCRIPTIONS: dict[str, Callable[[str, Put, Closed], tuple[str, Make, Any]]] = {
    "local": subscribe,
    "cloud": subscribe_cloud,
    "configuration": watch,
}
"""By the kind of the received items."""


class SdkAdapter(eventstreamrpc.LifecycleHandler):
    """An open connection. `alive` is false once either side has closed it."""

    def __init__(self, connection: eventstreamrpc.Connection) -> None:
        self._connection = connection
        self.client = sdk.GreengrassCoreIPCClient(connection)
        self.alive = True

    def close(self) -> None:
        self.alive = False
        self._connection.close()

    def on_disconnect(self, reason: Exception | None) -> None:
        if self.alive:
            log.warning("the nucleus closed the connection (%s)", name(reason) if reason is not None else "without a reason")
        self.alive = False

    def on_error(self, error: Exception) -> bool:
        log.warning("error on the connection to the nucleus (%s)", name(error))
        return True


def dial() -> SdkAdapter:
    """Connect to the nucleus that launched this process; raises the faults of the SDK.

    Unlike `awsiot.greengrasscoreipc.connect`, this closes an attempt that timed out: a suspended broker would accept all of them later.
    """
    loop = EventLoopGroup(num_threads=1)
    options = SocketOptions()
    options.domain = SocketDomain.Local
    connection = eventstreamrpc.Connection(
        host_name=os.environ[SOCKET],
        port=0,
        bootstrap=ClientBootstrap(loop, DefaultHostResolver(loop)),
        socket_options=options,
        connect_message_amender=eventstreamrpc.MessageAmendment.create_static_authtoken_amender(os.environ["SVCUID"]),
    )
    link = SdkAdapter(connection)
    try:
        connection.connect(link).result(CALL_TIMEOUT_S)
    except BaseException:
        link.close()
        raise
    return link


def accepts_connections() -> bool:
    """Whether a process accepts connections on the nucleus's socket; the SDK's faults do not reveal it."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(os.environ[SOCKET])
        return True
    except OSError:
        return False


class _Local(sdk.SubscribeToTopicStreamHandler):
    def __init__(self, topic: str, put: Put, closed: Closed) -> None:
        super().__init__()
        self._topic, self._put, self._closed = topic, put, closed

    def on_stream_event(self, event: model.SubscriptionResponseMessage) -> None:
        if event.binary_message is not None:
            payload = bytes(event.binary_message.message or b"")
        elif event.json_message is not None:
            payload = json.dumps(event.json_message.message).encode()
        else:
            return
        self._put(Received("local", self._topic, payload))

    def on_stream_error(self, error: Exception) -> bool:
        log.warning("error on the subscription to %s (%s)", self._topic, name(error))
        return False

    def on_stream_closed(self) -> None:
        self._closed()


class _Cloud(sdk.SubscribeToIoTCoreStreamHandler):
    def __init__(self, put: Put, closed: Closed) -> None:
        super().__init__()
        self._put, self._closed = put, closed

    def on_stream_event(self, event: model.IoTCoreMessage) -> None:
        if event.message is not None:
            self._put(Received("cloud", event.message.topic_name, bytes(event.message.payload or b"")))

    def on_stream_error(self, error: Exception) -> bool:
        log.warning("error on a subscription to IoT Core (%s)", name(error))
        return False

    def on_stream_closed(self) -> None:
        self._closed()


class _Configuration(sdk.SubscribeToConfigurationUpdateStreamHandler):
    def __init__(self, put: Put, closed: Closed) -> None:
        super().__init__()
        self._put, self._closed = put, closed

    def on_stream_event(self, event: model.ConfigurationUpdateEvents) -> None:
        self._put(Received("configuration"))

    def on_stream_closed(self) -> None:
        self._closed()
