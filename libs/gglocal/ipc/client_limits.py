"""What all clients of one core share: the core, the seats that there are for clients, and the subscriptions."""

from __future__ import annotations

from typing import Protocol

from gglocal.core.state import NucleusState
from gglocal.deployment.queue import DeploymentQueue


class Client(Protocol):
    """A connection, as far as others need to know it."""

    component: str | None

    def abort(self) -> None:
        """Close at once."""


class ClientLimits:
    """Used on the nucleus's loop.

    Attributes:
        deployments: what deploys and stops components; None: nobody does.
        taken: the clients.
        subscriptions: how many streams are open for events.
    """

    def __init__(self, core: NucleusState, deployments: DeploymentQueue | None = None) -> None:
        self.core, self.deployments = core, deployments
        self.taken: set[Client] = set()
        self.subscriptions = 0

    def take(self, client: Client) -> bool:
        """Whether there was room for one more."""
        if len(self.taken) >= self.core.profile.max_clients:
            return False
        self.taken.add(client)
        return True

    def leave(self, client: Client) -> None:
        """It has gone."""
        self.taken.discard(client)

    def has_room_for_subscription(self) -> bool:
        return self.subscriptions < self.core.profile.max_subscriptions
