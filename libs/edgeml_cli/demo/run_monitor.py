"""One run as it goes: takes what the nucleus heard, and knows when the run is over.

No clock of its own: the monotonic time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeml.errors import MessageError
from edgeml.messages import Command, Message, Status, decode, topics
from edgeml_cli.demo.event_log import EventLog
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.simulated_operator import SimulatedOperator
from edgeml_cli.demo.statistics import Statistics

QUIET_S = 1.0
"""A run is over when its sources have ended, all is answered, and nothing new was said for so long."""
STALLED_S = 20.0
"""What is not answered for so long after the sources ended is lost."""
LATE_S = 1.0
"""How long after its deadline a command is waited for: its sender says then that it gave up."""

_IGNORED = topics.heartbeat("")
SOURCE = "com.edgeml.SensorIngestion"


class RunMonitor:
    """The state of one run.

    Attributes:
        faults: what components say is wrong, by component.
        faulty: a component waits for a right configuration.
        unreadable: messages on the suite's topics that could not be understood.
    """

    def __init__(self, trace: Recorder, tally: Statistics, on_event: Callable[[Event], None]) -> None:
        self.trace, self.tally = trace, tally
        self.faults: dict[str, tuple[str, ...]] = {}
        self.faulty = False
        self.finished = False
        self.unreadable = 0
        self._story = EventLog(self.trace, self.tally)
        self._maintenance = SimulatedOperator()
        self._on_event = on_event
        self._heard = 0.0
        self._deadlines: dict[str, float] = {}

    def take(self, topic: str, payload: bytes, sender: str | None, now: float) -> None:
        """A message that the nucleus accepted on a local topic."""
        if not topic.startswith("edgeml/") or topic.startswith(_IGNORED):
            return
        try:
            message = decode(payload)
            new = self.tally.take(message, sender)
        except MessageError as fault:
            self.unreadable += 1
            self.tell(Event(None, "fault", f"a message on {topic} cannot be read: {fault}"))
            return
        if new:
            self._heard = now
        self._learn(message, now)
        for event in self._story.take(message, new, sender):
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Something happened."""
        self.trace.events.append(event)
        self._on_event(event)

    def due(self, now: float, wall_ns: int) -> list[Command]:
        """What a person would command now."""
        return self._maintenance.due(now, wall_ns)

    def over(self, now: float) -> bool:
        """Whether there is nothing more to come."""
        if self.faulty:
            return True
        quiet = now - self._heard
        if not self.finished or quiet < QUIET_S:
            return False
        settled = not self.tally.unanswered and not self._maintenance.busy and not self._awaited(now)
        return settled or quiet > STALLED_S

    def _awaited(self, now: float) -> bool:
        return any(not command.status and now < self._deadlines[id] + LATE_S for id, command in self.tally.commands.items())

    def _learn(self, message: Message, now: float) -> None:
        self._maintenance.take(message)
        if isinstance(message, Command):
            self._deadlines.setdefault(message.id, now + message.timeout_s)
        elif isinstance(message, Status):
            self.faults[message.component] = message.faults
            self.faulty = self.faulty or message.state == "faulty"
            if message.component == SOURCE:
                self.finished = message.state == "finished"
