"""One call of an operation, and the stream it opened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gglocal.core.state import Unauthorized
from gglocal.deployment.queue import DeploymentQueue
from gglocal.ipc.client_limits import ClientLimits
from gglocal.ipc.errors import IpcError
from gglocal.ipc.protocol import NAMESPACE

log = logging.getLogger("gglocal.ipc")

T = TypeVar("T")


class Answers(Protocol):
    """The client's end of the line, as far as a request needs it."""

    def send_message(self, stream_id: int, model: str, body: bytes, *, last: bool = False) -> None:
        """Send an answer or an event."""


class Request:
    """What a handler works with.

    Attributes:
        component: who asks.
        operation: the full name, as `aws.greengrass#PublishToTopic`.
        arguments: the JSON object that came with it.
    """

    def __init__(
        self, seats: ClientLimits, client: Answers, stream_id: int, component: str, operation: str, arguments: dict[str, Any]
    ) -> None:
        self.core, self.component, self.operation, self.arguments = seats.core, component, operation, arguments
        self._seats, self._client, self._stream_id = seats, client, stream_id
        self._end: Callable[[], None] | None = None
        self._open = True
        self._answered = False
        self._early: list[tuple[str, bytes]] = []

    @property
    def deployments(self) -> DeploymentQueue:
        """What deploys components; its engine starts and stops them.

        Raises:
            IpcError: nobody does here.
        """
        if self._seats.deployments is None:
            raise IpcError("ServiceError", "this nucleus manages no components")
        return self._seats.deployments

    @property
    def call(self) -> tuple[str, str, str]:
        """Short name of the operation, component, and topic, which may be empty."""
        topic = self.arguments.get("topic", self.arguments.get("topicName"))
        return self.operation.removeprefix(NAMESPACE), self.component, topic if isinstance(topic, str) else ""

    def argument(self, name: str, kind: type[T], error: str | None = None) -> T:
        """An argument that must be there, of this JSON type.

        Raises:
            IpcError: it is not; `error` is the error's name where it is not the profile's usual one.
        """
        value = self.optional(name, kind, error)
        if value is None:
            raise self.invalid(f"{name} is required", error)
        return value

    def optional(self, name: str, kind: type[T], error: str | None = None) -> T | None:
        """As `argument`, or None where it is not there."""
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
        return IpcError(error or self.core.profile.invalid_arguments, message)

    def authorize(self, resource: str) -> None:
        """Raises:
        IpcError: `UnauthorizedError`.
        """
        try:
            self.core.authorize(self.component, self.operation, resource)
        except Unauthorized as refusal:
            raise IpcError("UnauthorizedError", str(refusal)) from None

    def check_room(self) -> None:
        """Raises:
        IpcError: the core has no subscription left.
        """
        if not self._seats.has_room_for_subscription():
            raise IpcError("ServiceError", f"all {self.core.profile.max_subscriptions} subscriptions of this core are in use")

    def hold(self, end: Callable[[], None]) -> None:
        """The stream stays open for events until the client or the connection ends it; then `end()` is called once."""
        if not self._open:
            end()
            return
        self._end = end
        self._seats.subscriptions += 1

    @property
    def held(self) -> bool:
        return self._end is not None

    def send_event(self, model: str, body: bytes) -> None:
        """Send one event, but never before the answer."""
        if not self._open:
            return
        if self._answered:
            self.core.interference.deliver(*self.call, lambda: self._send(model, body))
        else:
            self._early.append((model, body))

    def answer(self, body: bytes, last: bool) -> None:
        """Send the answer, and then what came in the meantime."""
        if self._open:
            self._client.send_message(self._stream_id, self.operation + "Response", body, last=last)
        self._answered = True
        early, self._early = self._early, []
        for model, event in early:
            self.send_event(model, event)

    def _send(self, model: str, body: bytes) -> None:
        if self._open:
            self._client.send_message(self._stream_id, NAMESPACE + model, body)

    def close(self) -> None:
        """The stream has ended."""
        self._open = False
        end, self._end = self._end, None
        if end is not None:
            self._seats.subscriptions -= 1
            end()
