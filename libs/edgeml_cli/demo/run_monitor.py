"""Monitors one run: processes each message that the nucleus accepted, and detects the end of the run.

It reads no clock: the monotonic time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeml.errors import MessageError
from edgeml.messages import Command, Message, Status, decode, topics
from edgeml_cli.demo.event_log import EventLog
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.simulated_operator import SimulatedOperator
from edgeml_cli.demo.statistics import Statistics

SETTLE_S = 1.0
"""A run is over when its sources have finished, every row has its result, and nothing new came for this long."""
STALL_TIMEOUT_S = 20.0
"""If no new message comes for this long after the sources finished, missing results count as lost."""
ACK_GRACE_S = 1.0
"""Wait for an acknowledgement until this long after the command's deadline, when its sender reports the time-out."""

_IGNORED_PREFIX = topics.heartbeat("")
SOURCE = "com.edgeml.SensorIngestion"


class RunMonitor:
    """The state of one run.

    Attributes:
        faults: faults that components report, by component.
        faulty: a component has reported the state `faulty`: it cannot run with its configuration.
        source_finished: SensorIngestion has reported the state `finished`.
        unreadable: number of messages on the suite's topics that could not be decoded.
    """

    def __init__(self, recorder: Recorder, stats: Statistics, on_event: Callable[[Event], None]) -> None:
        self.recorder, self.stats = recorder, stats
        self.faults: dict[str, tuple[str, ...]] = {}
        self.faulty = False
        self.source_finished = False
        self.unreadable = 0
        self._event_log = EventLog(self.recorder, self.stats)
        self._operator = SimulatedOperator()
        self._on_event = on_event
        self._last_progress = 0.0
        self._deadlines: dict[str, float] = {}

    def handle(self, topic: str, payload: bytes, sender: str | None, now: float) -> None:
        """Process a message that the nucleus accepted on a local topic."""
        if not topic.startswith("edgeml/") or topic.startswith(_IGNORED_PREFIX):
            return
        try:
            message = decode(payload)
            new = self.stats.add(message, sender)
        except MessageError as fault:
            self.unreadable += 1
            self.record(Event(None, "fault", f"a message on {topic} cannot be decoded: {fault}"))
            return
        if new:
            self._last_progress = now
        self._update(message, now)
        for event in self._event_log.events_of(message, new, sender):
            self.record(event)

    def record(self, event: Event) -> None:
        """Add an event to the log and pass it to the view."""
        self.recorder.events.append(event)
        self._on_event(event)

    def due(self, now: float, wall_ns: int) -> list[Command]:
        """The commands that the simulated operator sends now."""
        return self._operator.due(now, wall_ns)

    def is_over(self, now: float) -> bool:
        """Whether the run has ended: no further message is expected, or a component is faulty."""
        if self.faulty:
            return True
        quiet_s = now - self._last_progress
        if not self.source_finished or quiet_s < SETTLE_S:
            return False
        settled = not self.stats.rows_without_result and not self._operator.busy and not self._awaits_ack(now)
        return settled or quiet_s > STALL_TIMEOUT_S

    def _awaits_ack(self, now: float) -> bool:
        return any(not command.status and now < self._deadlines[id] + ACK_GRACE_S for id, command in self.stats.commands.items())

    def _update(self, message: Message, now: float) -> None:
        self._operator.observe(message)
        if isinstance(message, Command):
            self._deadlines.setdefault(message.id, now + message.timeout_s)
        elif isinstance(message, Status):
            self.faults[message.component] = message.faults
            self.faulty = self.faulty or message.state == "faulty"
            if message.component == SOURCE:
                self.source_finished = message.state == "finished"
