"""One call of an operation, and the event stream that it opens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gglocal.core.state import Unauthorized
from gglocal.deployment.queue import DeploymentQueue
from gglocal.ipc.client_limits import ClientLimits
from gglocal.ipc.errors import IpcError
from gglocal.ipc.protocol import NAMESPACE

T = TypeVar("T")


class MessageSender(Protocol):
    """The connection, as far as a request needs it."""

    def send_message(self, stream_id: int, model: str, body: bytes, *, last: bool = False) -> None:
        """Send a response or an event."""


class Request:
    """The argument of every operation handler.

    Attributes:
        component: the calling component.
        operation: the full name, as `aws.greengrass#PublishToTopic`.
        service: the service of `accessControl` that authorizes the operation; empty: it needs no policy.
        arguments: the JSON object of the request.
    """

    def __init__(
        self,
        limits: ClientLimits,
        client: MessageSender,
        stream_id: int,
        component: str,
        operation: str,
        service: str,
        arguments: dict[str, Any],
    ) -> None:
        self.core, self.component, self.operation, self.service, self.arguments = limits.core, component, operation, service, arguments
        self._limits, self._client, self._stream_id = limits, client, stream_id
        self._end_subscription: Callable[[], None] | None = None
        self._open = True
        self._responded = False
        self._early_events: list[tuple[str, bytes]] = []

    @property
    def deployments(self) -> DeploymentQueue:
        """Deploys components; its engine starts and stops them.

        Raises:
            IpcError: management operations are not available.
        """
        if self._limits.deployments is None:
            raise IpcError("ServiceError", "this nucleus does not manage components")
        return self._limits.deployments

    @property
    def call(self) -> tuple[str, str, str]:
        """Short name of the operation, component, and topic, which may be empty."""
        topic = self.arguments.get("topic", self.arguments.get("topicName"))
        return self.operation.removeprefix(NAMESPACE), self.component, topic if isinstance(topic, str) else ""

    def argument(self, name: str, kind: type[T], error: str | None = None) -> T:
        """A required argument of this JSON type.

        Args:
            error: the name of the error to raise; default: the profile's usual one.

        Raises:
            IpcError: the argument is missing or has another type.
        """
        value = self.optional(name, kind, error)
        if value is None:
            raise self.invalid(f"{name} is required", error)
        return value

    def optional(self, name: str, kind: type[T], error: str | None = None) -> T | None:
        """As `argument`, or None if it is missing."""
        value = self.arguments.get(name)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise self.invalid(f"{name} must be a {kind.__name__}", error)
        return value

    def key_path(self, error: str | None = None) -> list[str]:
        """The optional list of strings `keyPath`."""
        keys = self.optional("keyPath", list, error) or []
        if not all(isinstance(key, str) for key in keys):
            raise self.invalid("keyPath must be a list of strings", error)
        return keys

    def invalid(self, message: str, error: str | None = None) -> IpcError:
        """The error for an invalid argument."""
        return IpcError(error or self.core.profile.invalid_arguments, message)

    def authorize(self, resource: str) -> None:
        """Raises:
        IpcError: `UnauthorizedError`.
        """
        try:
            self.core.authorize(self.component, self.service, self.operation, resource)
        except Unauthorized as error:
            raise IpcError("UnauthorizedError", str(error)) from None

    def check_subscription_limit(self) -> None:
        """Raises:
        IpcError: the nucleus has no subscription left.
        """
        if not self._limits.allows_subscription():
            raise IpcError("ServiceError", f"all {self.core.profile.max_subscriptions} subscriptions of this nucleus are in use")

    def keep_open(self, end: Callable[[], None]) -> None:
        """Keep the stream open for events until the client or the connection closes it; then `end()` is called once."""
        if not self._open:
            end()
            return
        self._end_subscription = end
        self._limits.subscriptions += 1

    @property
    def is_subscription(self) -> bool:
        return self._end_subscription is not None

    def send_event(self, model: str, body: bytes) -> None:
        """Send one event, never before the response."""
        if not self._open:
            return
        if self._responded:
            self.core.fault_injector.deliver(*self.call, lambda: self._send(model, body))
        else:
            self._early_events.append((model, body))

    def respond(self, body: bytes, last: bool) -> None:
        """Send the response, then the events that arrived before it."""
        if self._open:
            self._client.send_message(self._stream_id, self.operation + "Response", body, last=last)
        self._responded = True
        early, self._early_events = self._early_events, []
        for model, event in early:
            self.send_event(model, event)

    def _send(self, model: str, body: bytes) -> None:
        if self._open:
            self._client.send_message(self._stream_id, NAMESPACE + model, body)

    def close(self) -> None:
        """Close the stream."""
        self._open = False
        end, self._end_subscription = self._end_subscription, None
        if end is not None:
            self._limits.subscriptions -= 1
            end()
