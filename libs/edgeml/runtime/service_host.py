"""Starts and stops the one service of a component, with its subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from edgeml.ipc.bus import IpcBus
from edgeml.runtime.fault_guard import FaultGuard
from edgeml.runtime.service import ComponentContext, Service

O = TypeVar("O")  # noqa: E741


class ServiceHost(Generic[O]):
    """
    Args:
        create: builds the service from the context and its options; raises EdgemlError for faults that a person must correct.

    Attributes:
        service: the running service, or None.
        side_by_side: a new service may be created while the old one runs.
    """

    def __init__(
        self, bus: IpcBus, context: ComponentContext, create: Callable[[ComponentContext, O], Service], faults: FaultGuard
    ) -> None:
        self._bus, self._context, self._create, self._faults = bus, context, create, faults
        self.service: Service | None = None
        self.side_by_side: bool = getattr(create, "side_by_side", False)
        self._resubscribe_count = 0

    def prepare(self, options: O) -> Service | None:
        """Create the next service if that is possible while the old one runs."""
        return self.create(options) if self.side_by_side else None

    def create(self, options: O) -> Service:
        """Create the next service; it does nothing before `start`."""
        return self._create(self._context, options)

    def start(self, service: Service) -> None:
        """Subscribe to the topics of a service and start it. A service whose subscriptions fail is closed."""
        self.service = service
        try:
            for topic in service.topics:
                self._bus.subscribe(topic)
            for topic in service.cloud_topics:
                self._bus.subscribe_cloud(topic)
        except Exception:
            self._faults.run("close", self.stop)
            raise
        self._resubscribe_count = self._bus.resubscribe_count
        self._faults.run("start", service.start)

    def start_again_if_resubscribed(self) -> None:
        """Call the service's `start` if subscriptions were renewed: messages may have been missed."""
        if self.service is not None and self._bus.resubscribe_count != self._resubscribe_count:
            self._resubscribe_count = self._bus.resubscribe_count
            self._faults.run("start", self.service.start)

    def stop(self) -> None:
        """Close the service and end its subscriptions."""
        service, self.service = self.service, None
        if service is not None:
            self._faults.run("close", service.close)
            for topic in (*service.topics, *service.cloud_topics):
                self._bus.unsubscribe(topic)
