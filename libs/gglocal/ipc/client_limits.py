"""State shared by all IPC clients: the nucleus, the limit of connections, and the limit of subscriptions."""

from __future__ import annotations

from typing import Protocol

from gglocal.core.state import NucleusState
from gglocal.deployment.queue import DeploymentQueue


class Client(Protocol):
    """A connection, as far as the server needs to know it."""

    component: str | None

    def abort(self) -> None:
        """Close immediately."""


class ClientLimits:
    """Used on the nucleus's event loop.

    Attributes:
        deployments: deploys and stops components; None: management operations are not available.
        clients: the open connections.
        subscriptions: number of streams that are open for events.
    """

    def __init__(self, core: NucleusState, deployments: DeploymentQueue | None = None) -> None:
        self.core, self.deployments = core, deployments
        self.clients: set[Client] = set()
        self.subscriptions = 0

    def add(self, client: Client) -> bool:
        """Register a connection; False: the limit is reached."""
        if len(self.clients) >= self.core.profile.max_clients:
            return False
        self.clients.add(client)
        return True

    def remove(self, client: Client) -> None:
        """Forget a closed connection."""
        self.clients.discard(client)

    def allows_subscription(self) -> bool:
        """Whether one more subscription is below the limit."""
        return self.subscriptions < self.core.profile.max_subscriptions
