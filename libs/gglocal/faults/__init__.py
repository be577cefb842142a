"""Injected faults: the table `FAULTS`, and `ActiveFaults`, which starts and ends them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from gglocal.deployment.engine import Engine
from gglocal.errors import NucleusError
from gglocal.faults import clock_step, config_restart, delay, disk_full, iot_core, ipc_restart, process_signals, pubsub_restart, refuse
from gglocal.faults.base import End, Fault, Target, read_options
from gglocal.ipc.server import IpcServer

FAULTS: dict[str, Fault] = {
    "ipc-restart": Fault(
        ipc_restart.Options, "closes all connections and revokes every SVCUID; components that exit get a new one", ipc_restart.begin
    ),
    "pubsub-restart": Fault(
        pubsub_restart.Options, "drops local subscriptions without notice; publishing fails for `down_s`", pubsub_restart.begin
    ),
    "config-restart": Fault(
        config_restart.Options,
        "returns UnauthorizedError for a while; drops configuration subscriptions without notice",
        config_restart.begin,
    ),
    "refuse": Fault(refuse.Options, "returns an error from calls", refuse.begin),
    "delay-answers": Fault(delay.Options, "executes calls immediately, and responds late", delay.responses),
    "delay-deliveries": Fault(delay.Options, "delivers events to subscribers late, in order", delay.deliveries),
    "iot-cut": Fault(
        iot_core.Options, "disconnects IoT Core: operations return ServiceError, and messages from the cloud are lost", iot_core.cut
    ),
    "iot-lose": Fault(iot_core.Options, "acknowledges and loses messages to IoT Core", iot_core.lose),
    "kill": Fault(process_signals.KillOptions, "sends a signal to all processes of a component, SIGKILL by default", process_signals.kill),
    "pause": Fault(process_signals.PauseOptions, "stops all processes of a component (SIGSTOP)", process_signals.pause),
    "disk-full": Fault(disk_full.Options, "fails writes below a component's work directory with ENOSPC; needs --shim", disk_full.begin),
    "clock-step": Fault(clock_step.Options, "steps a component's wall clock forward or back; needs --shim", clock_step.begin),
}


@dataclass(frozen=True)
class Active:
    """One active fault, with the options that the caller passed."""

    number: int
    name: str
    options: dict[str, Any]


class ActiveFaults:
    """Used on the nucleus's event loop."""

    def __init__(self, engine: Engine, ipc: IpcServer) -> None:
        self._target = Target(engine, ipc)
        self._count = 0
        self._active: dict[int, tuple[Active, End, asyncio.TimerHandle | None]] = {}

    async def begin(self, name: str, arguments: dict[str, Any]) -> Active:
        """Start a fault; returns once it is in effect, or over.

        Raises:
            NucleusError: the fault is unknown, an option is invalid, or the fault is not possible now.
        """
        if name not in FAULTS:
            raise NucleusError(f"unknown fault {name!r}; known faults: {', '.join(FAULTS)}")
        options = read_options(name, FAULTS[name].options, arguments)
        self._count += 1
        active = Active(self._count, name, dict(arguments))
        end = await FAULTS[name].begin(self._target, options)
        if end is not None:
            seconds = getattr(options, "for_s", 0.0)
            timer = asyncio.get_running_loop().call_later(seconds, self.end, active.number) if seconds else None
            self._active[active.number] = (active, end, timer)
        return active

    def end(self, number: int) -> None:
        """End a fault, if it is still active."""
        _, end, timer = self._active.pop(number, (None, lambda: None, None))
        if timer is not None:
            timer.cancel()
        end()

    def end_all(self) -> None:
        for number in list(self._active):
            self.end(number)

    def active(self) -> list[Active]:
        return [active for active, _, _ in self._active.values()]
