"""Simulates the operator who repairs the machine: after each executed stop, it restores and then starts the machine.

Pure: messages and the monotonic time in, commands out. A command without an acknowledgement is resent under the same id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgeml.messages import Command, CommandAck, Message, SensorBatch
from edgeml.timestamps import SECOND, to_iso

RESEND_AFTER_S = 3.0
"""Seconds of wall-clock time after which an unacknowledged command is resent."""


class Step(NamedTuple):
    """One command of a repair.

    Attributes:
        delay_s: seconds of event time since the previous step.
    """

    action: str
    delay_s: float


STEPS = (Step("restore", 60.0), Step("start", 30.0))


@dataclass
class _Repair:
    asset: str
    alarm: str
    previous_step_at: int  # event time in ns
    step_index: int = 0
    resend_at: float = 0.0

    @property
    def step(self) -> Step:
        return STEPS[self.step_index]

    @property
    def id(self) -> str:
        return f"operator-{self.alarm}-{self.step.action}"


class SimulatedOperator:
    """Reacts to the executed stop commands of one run."""

    def __init__(self) -> None:
        self._stops: dict[str, Command] = {}
        self._repairs: dict[str, _Repair] = {}
        self._handled_stops: set[str] = set()
        self._event_time: dict[str, int] = {}

    @property
    def busy(self) -> bool:
        """Whether a machine is stopped and has not been started again."""
        return bool(self._repairs)

    def observe(self, message: Message) -> None:
        """Update the state from a message that the nucleus accepted."""
        if isinstance(message, SensorBatch):
            last = int(np.frombuffer(message.times, "<i8").max(initial=0))
            self._event_time[message.asset] = max(last, self._event_time.get(message.asset, 0))
        elif isinstance(message, Command) and message.action == "stop" and message.alarm:
            self._stops[message.id] = message
        elif isinstance(message, CommandAck) and message.status == "executed":
            self._on_executed(message)

    def due(self, now: float, wall_ns: int) -> list[Command]:
        """The commands to publish at the monotonic time `now`; `wall_ns` is the wall-clock time written into them."""
        commands = []
        for repair in self._repairs.values():
            is_due = self._event_time.get(repair.asset, 0) >= repair.previous_step_at + round(repair.step.delay_s * SECOND)
            if is_due and now >= repair.resend_at:
                repair.resend_at = now + RESEND_AFTER_S
                action, issued_at = repair.step.action, to_iso(wall_ns)
                commands.append(Command(id=repair.id, asset=repair.asset, action=action, alarm=repair.alarm, issued_at=issued_at))
        return commands

    def _on_executed(self, ack: CommandAck) -> None:
        at, repair = self._event_time.get(ack.asset, 0), self._repairs.get(ack.asset)
        if ack.id in self._stops and ack.id not in self._handled_stops:
            self._handled_stops.add(ack.id)
            self._repairs[ack.asset] = _Repair(ack.asset, self._stops[ack.id].alarm, at)
        elif repair is not None and ack.id == repair.id:
            if repair.step is STEPS[-1]:
                del self._repairs[ack.asset]
            else:
                repair.step_index, repair.previous_step_at, repair.resend_at = repair.step_index + 1, at, 0.0
