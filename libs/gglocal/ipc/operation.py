"""The record of one IPC operation, and the names of services and profiles in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from gglocal.core.access_policy import MQTT_PROXY
from gglocal.ipc.protocol import NAMESPACE
from gglocal.ipc.request import Request
from gglocal.profile import CLASSIC, LITE

PUBSUB, SECRET_MANAGER, CLI = "aws.greengrass.ipc.pubsub", "aws.greengrass.SecretManager", "aws.greengrass.Cli"
NO_POLICY = ""
"""The service of an operation that every component may call."""
EVERY_NUCLEUS, CLASSIC_ONLY = (LITE.name, CLASSIC.name), (CLASSIC.name,)

Outcome = dict[str, Any] | None | Awaitable[dict[str, Any] | None]
Handler = Callable[[Request], Outcome]

__all__ = ["CLASSIC_ONLY", "CLI", "EVERY_NUCLEUS", "MQTT_PROXY", "NO_POLICY", "PUBSUB", "SECRET_MANAGER", "Handler", "Operation", "Outcome"]


class Operation(NamedTuple):
    """One IPC operation.

    Attributes:
        name: without the namespace, as `PublishToTopic`.
        service: the service of `accessControl` whose policies authorize it, or `NO_POLICY`.
        profiles: names of the profiles whose nucleus supports it.
        handler: reads arguments, authorizes, acts and returns the response.
    """

    name: str
    service: str
    profiles: tuple[str, ...]
    handler: Handler

    @property
    def full_name(self) -> str:
        """As in `accessControl` and on the wire."""
        return NAMESPACE + self.name
