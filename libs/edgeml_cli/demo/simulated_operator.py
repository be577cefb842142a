"""The person who mends the machine: some time after a stop was executed, the machine is restored, then started.

Pure: messages and the monotonic time in, commands out. A command that is not answered is sent again under its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgeml.messages import Command, CommandAck, Message, SensorBatch
from edgeml.timestamps import SECOND, to_iso

AGAIN_S = 3.0
"""Seconds of the clock after which a command is sent again."""


class Step(NamedTuple):
    """What is commanded, so many event seconds after the step before."""

    action: str
    after_s: float


STEPS = (Step("restore", 60.0), Step("start", 30.0))


@dataclass
class _Job:
    asset: str
    alarm: str
    since: int  # event time of the step before, ns
    number: int = 0
    again_at: float = 0.0

    @property
    def step(self) -> Step:
        return STEPS[self.number]

    @property
    def id(self) -> str:
        return f"maintenance-{self.alarm}-{self.step.action}"


class SimulatedOperator:
    """Follows the stop commands of one run."""

    def __init__(self) -> None:
        self._stops: dict[str, Command] = {}
        self._jobs: dict[str, _Job] = {}
        self._mended: set[str] = set()
        self._event_time: dict[str, int] = {}

    @property
    def busy(self) -> bool:
        """Whether a machine is stopped that is yet to be started."""
        return bool(self._jobs)

    def take(self, message: Message) -> None:
        """Learn from what passed."""
        if isinstance(message, SensorBatch):
            last = int(np.frombuffer(message.times, "<i8").max(initial=0))
            self._event_time[message.asset] = max(last, self._event_time.get(message.asset, 0))
        elif isinstance(message, Command) and message.action == "stop" and message.alarm:
            self._stops[message.id] = message
        elif isinstance(message, CommandAck) and message.status == "executed":
            self._executed(message)

    def due(self, now: float, wall_ns: int) -> list[Command]:
        """The commands to publish at the monotonic time `now`; `wall_ns` is the time that people read."""
        commands = []
        for job in self._jobs.values():
            ready = self._event_time.get(job.asset, 0) >= job.since + round(job.step.after_s * SECOND)
            if ready and now >= job.again_at:
                job.again_at = now + AGAIN_S
                action, issued_at = job.step.action, to_iso(wall_ns)
                commands.append(Command(id=job.id, asset=job.asset, action=action, alarm=job.alarm, issued_at=issued_at))
        return commands

    def _executed(self, ack: CommandAck) -> None:
        at, job = self._event_time.get(ack.asset, 0), self._jobs.get(ack.asset)
        if ack.id in self._stops and ack.id not in self._mended:
            self._mended.add(ack.id)
            self._jobs[ack.asset] = _Job(ack.asset, self._stops[ack.id].alarm, at)
        elif job is not None and ack.id == job.id:
            if job.step is STEPS[-1]:
                del self._jobs[ack.asset]
            else:
                job.number, job.since, job.again_at = job.number + 1, at, 0.0
