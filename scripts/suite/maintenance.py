"""The person who mends the machine: once a stop was executed, the machine is restored, then started.

Pure: messages and the monotonic time in, commands out. A command that is not answered is sent again under its id.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeml.messages import Command, CommandAck, Message
from edgeml.times import to_iso

STEPS = ("restore", "start")
AGAIN_S = 3.0


@dataclass
class _Job:
    asset: str
    alarm: str
    step: int = 0
    due: float = 0.0

    @property
    def id(self) -> str:
        return f"maintenance-{self.alarm}-{STEPS[self.step]}"


class Maintenance:
    """Follows the stop commands of one run."""

    def __init__(self) -> None:
        self._stops: dict[str, Command] = {}
        self._jobs: dict[str, _Job] = {}
        self._done: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether a machine is stopped that is yet to be started."""
        return bool(self._jobs)

    def take(self, message: Message) -> None:
        """Learn from what passed."""
        if isinstance(message, Command) and message.action == "stop" and message.alarm:
            self._stops[message.id] = message
        if not isinstance(message, CommandAck) or message.status != "executed":
            return
        stop = self._stops.get(message.id)
        if stop is not None and stop.id not in self._done:
            self._done.add(stop.id)
            self._jobs[stop.asset] = _Job(stop.asset, stop.alarm)
        job = self._jobs.get(message.asset)
        if job is not None and message.id == job.id:
            job.step, job.due = job.step + 1, 0.0
            if job.step == len(STEPS):
                del self._jobs[message.asset]

    def due(self, now: float, wall_ns: int) -> list[Command]:
        """The commands to publish at the monotonic time `now`; `wall_ns` is the time that people read."""
        commands = []
        for job in self._jobs.values():
            if now >= job.due:
                job.due = now + AGAIN_S
                issued = to_iso(wall_ns)
                commands.append(Command(id=job.id, asset=job.asset, action=STEPS[job.step], alarm=job.alarm, issued_at=issued))
        return commands
