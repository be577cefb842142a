"""Runs a component: one loop in one thread around a service.

The service is created again when the configuration changes; its state is on disk or returns by a replay. `edgeml.runtime.main` starts the
process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from edgeml.auth.verifier import MessageVerifier
from edgeml.errors import MessageError
from edgeml.ipc.bus import IpcBus
from edgeml.ipc.sdk_adapter import POLLED, Received
from edgeml.messages import Status, decode
from edgeml.runtime.configuration_loader import SETTLE_S, ConfigurationLoader
from edgeml.runtime.fault_guard import FAILED, FaultGuard
from edgeml.runtime.last_good_config import LastGoodConfig
from edgeml.runtime.service import ComponentContext, Metrics, Service
from edgeml.runtime.service_host import ServiceHost
from edgeml.runtime.status_reporter import StatusReporter

PAUSE_S = 0.5
"""Pause after a failed step of the loop."""
MAX_WAIT_S = 1.0

O = TypeVar("O")  # noqa: E741


class ServiceRunner(Generic[O]):
    """The loop. Components call `edgeml.runtime.main.main`; tests that bring their own bus use this class.

    Args:
        options: the class of the service's options.
        create: see `ServiceHost`.
    """

    def __init__(self, bus: IpcBus, context: ComponentContext, options: type[O], create: Callable[[ComponentContext, O], Service]) -> None:
        self._bus, self._context = bus, context
        self._verifier = bus.verifier = bus.verifier or MessageVerifier(context.component, context.work)
        self._verifier.secret = bus.secret
        self._guard = FaultGuard(context.monotonic)
        self._host: ServiceHost[O] = ServiceHost(bus, context, create, self._guard)
        self._last_good = LastGoodConfig(options, context.work, context.monotonic)
        self._loader = ConfigurationLoader(bus, context, self._host, self._last_good, self._verifier, self._guard)
        self._reporter = StatusReporter(context.component, bus, context.monotonic, context.wall_ns)
        self._stopping = False

    def stop(self) -> None:
        """Ask the loop to end; for a signal handler."""
        self._stopping = True
        self._bus.stop_retrying()

    def run(self) -> None:
        """Run until `stop`.

        Raises:
            RestartRequired: see `edgeml.ipc.bus`.
        """
        for begin in (self._bus.watch_configuration, self._bus.start_heartbeat, self._loader.reload):
            self._guard.run("begin", begin)
        try:
            while not self._stopping:
                # The last safety net: a fault here would end the process, spend one of the nucleus's three errors an hour, and fix nothing.
                if self._guard.run("the loop", self._step) is FAILED:
                    time.sleep(PAUSE_S)
        finally:
            self._guard.run("close", self._host.stop)
            self._guard.run("close", self._bus.close)

    def _step(self) -> None:
        now = self._context.monotonic()
        self._loader.tick(now)
        self._guard.run("messages", lambda: self._check_key(now))
        self._last_good.tick()
        wait, tick_s = self._tick(now)
        self._guard.run("status", self._report)
        received = self._bus.receive(wait if self._loader.reload_at is None else min(wait, SETTLE_S))
        # Messages get as much time as the tick took: one message after each tick that waited for a broker would be too few to keep up.
        until = self._context.monotonic() + tick_s
        while received is not None:
            self._handle(received)
            if self._stopping or self._context.monotonic() >= until:
                break
            received = self._bus.receive(0.0)

    def _tick(self, now: float) -> tuple[float, float]:
        """Tick the service; returns the maximum seconds until the next tick, and the seconds that this one took."""
        self._host.start_again_if_resubscribed()
        service = self._host.service
        if service is None:
            return MAX_WAIT_S, 0.0
        began = self._context.monotonic()
        due = self._guard.run("tick", lambda: service.tick(now))
        return MAX_WAIT_S if due is FAILED else min(MAX_WAIT_S, due), self._context.monotonic() - began

    def _check_key(self, now: float) -> None:
        self._verifier.tick(now)
        for sentence, kind in self._verifier.log_lines():
            self._guard.throttle.warn(sentence, kind)

    def _handle(self, received: Received) -> None:
        if received.kind == "configuration":
            self._loader.schedule(event=received.payload != POLLED)
            return
        service = self._host.service
        if service is not None and received.kind == "cloud" and received.topic in getattr(service, "echo_topics", ()):
            self._guard.run(received.topic, lambda: service.on_echo(received.payload))  # type: ignore[attr-defined]
            return
        try:
            message = decode(received.payload)
        except MessageError as fault:
            self._reporter.drops[f"not understood: {received.topic}"] += 1
            self._guard.throttle.warn(f"{received.topic}: {fault}", f"{received.topic} {type(fault).__name__}")
            return
        if service is not None:
            more: tuple[object, ...] = (received.sent_at,) if getattr(service, "timed", False) and received.kind == "local" else ()
            if getattr(service, "takes_payload", False):
                more = (received.payload,)
            self._guard.run(received.topic, lambda: service.on_message(received.topic, message, *more))

    def _report(self) -> None:
        status, metrics = Status(component=self._context.component, state="faulty"), Metrics()
        service = self._host.service
        if service is not None:
            status = self._guard.run("status", service.status)
            if status is FAILED:
                status = Status(component=self._context.component, state="running")
            measured = self._guard.run("metrics", service.metrics)
            metrics = metrics if measured is FAILED else measured
        faults = self._loader.faults + self._verifier.faults(self._context.monotonic()) + self._guard.throttle.faults() + status.faults
        self._reporter.report(Status(component=status.component, state=status.state, faults=faults), metrics)
