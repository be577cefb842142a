"""Faults on demand: each file is a fault or two, and `FAULTS` names them.

`ActiveFaults` begins them, ends those that last, and knows which are active.
"""

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
        ipc_restart.Options, "connections are cut and every SVCUID is refused; components that exit get a new one", ipc_restart.begin
    ),
    "pubsub-restart": Fault(
        pubsub_restart.Options, "local subscriptions are dead without a word; publishes succeed after `down_s`", pubsub_restart.begin
    ),
    "config-restart": Fault(
        config_restart.Options, "UnauthorizedError for a while; configuration subscriptions die without a word", config_restart.begin
    ),
    "refuse": Fault(refuse.Options, "calls are answered with an error", refuse.begin),
    "delay-answers": Fault(delay.Options, "calls are done at once and answered late", delay.answers),
    "delay-deliveries": Fault(delay.Options, "subscribers are told late, in order", delay.deliveries),
    "iot-cut": Fault(iot_core.Options, "IoT Core is offline: a ServiceError, and what it sends is lost", iot_core.cut),
    "iot-lose": Fault(iot_core.Options, "publishes to IoT Core are acknowledged and lost", iot_core.lose),
    "kill": Fault(process_signals.KillOptions, "all processes of a component get a signal, SIGKILL by default", process_signals.kill),
    "pause": Fault(process_signals.PauseOptions, "all processes of a component stand still (SIGSTOP)", process_signals.pause),
    "disk-full": Fault(disk_full.Options, "nothing can be written under a component's work directory; needs --shim", disk_full.begin),
    "clock-step": Fault(clock_step.Options, "a component's wall clock is set on, or back; needs --shim", clock_step.begin),
}


@dataclass(frozen=True)
class Active:
    """One fault that lasts; `options` as they were given."""

    number: int
    name: str
    options: dict[str, Any]


class ActiveFaults:
    """Lives on the nucleus's loop."""

    def __init__(self, engine: Engine, ipc: IpcServer) -> None:
        self._target = Target(engine, ipc)
        self._count = 0
        self._lasting: dict[int, tuple[Active, End, asyncio.TimerHandle | None]] = {}

    async def begin(self, name: str, given: dict[str, Any]) -> Active:
        """Bring a fault about; returns when it is in effect, or over.

        Raises:
            NucleusError: there is no such fault, an option is wrong, or it cannot be had now.
        """
        if name not in FAULTS:
            raise NucleusError(f"unknown fault {name!r}; known are {', '.join(FAULTS)}")
        options = read_options(name, FAULTS[name].options, given)
        self._count += 1
        active = Active(self._count, name, dict(given))
        end = await FAULTS[name].begin(self._target, options)
        if end is not None:
            seconds = getattr(options, "for_s", 0.0)
            timer = asyncio.get_running_loop().call_later(seconds, self.end, active.number) if seconds else None
            self._lasting[active.number] = (active, end, timer)
        return active

    def end(self, number: int) -> None:
        """End one; one that is over is no error."""
        _, end, timer = self._lasting.pop(number, (None, lambda: None, None))
        if timer is not None:
            timer.cancel()
        end()

    def end_all(self) -> None:
        for number in list(self._lasting):
            self.end(number)

    def active(self) -> list[Active]:
        return [active for active, _, _ in self._lasting.values()]
