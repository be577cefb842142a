"""A fake bus for one AlertDispatcher, with an IoT Core that records a summary of the received messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from alert_dispatcher.service import AlertDispatcher
from edgeml.messages import MAX_PAYLOAD, ReplayRequest, decode, topics

THING = "gateway"


@dataclass
class Arrived:
    """The messages that IoT Core received.

    Attributes:
        alerts: (id, state, time) in order of first arrival.
        times: event times of results in order of first arrival.
        flags: message id -> whether it was flagged late.
        repeated: number of messages received again with the same id.
        renamed: number of messages whose content was received again with another id.
    """

    alerts: list[tuple[str, str, str]] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    flags: dict[str, bool] = field(default_factory=dict)
    repeated: int = 0
    renamed: int = 0
    _seen: dict[object, str] = field(default_factory=dict)

    def add(self, message: dict[str, Any]) -> None:
        entry = message["entry"]
        alert = (message["id"], message["state"], message["at"]) if message["type"] == "alert" else None
        contents: list[object] = [alert] if alert else [result["at"] for result in message.get("results", ())]
        before = {self._seen[content] for content in contents if content in self._seen}
        if before:
            self.repeated += before == {entry}
            self.renamed += before != {entry}
        self.flags.setdefault(entry, bool(message.get("late")))
        for content in contents:
            if content in self._seen:
                continue
            self._seen[content] = entry
            if alert:
                self.alerts.append(alert)
            else:
                self.times.append(str(content))


class RecordingBus:
    """A `Bus` with a link to IoT Core that is `up` or down, and a local broker that accepts or rejects alerts (`accepts_alerts`).

    Args:
        arrive: called with each payload that IoT Core receives.
        step: called before and after each publish.
        publish: called with each alert that the local broker accepts.
    """

    def __init__(
        self,
        arrive: Callable[[bytes], object],
        step: Callable[[], None] = lambda: None,
        publish: Callable[[bytes], object] = lambda payload: None,
    ) -> None:
        self.up = self.accepts_alerts = True
        self._publish = publish
        self.since: int | None = None
        self._arrive, self._step = arrive, step
        self._echoes: list[bytes] = []

    def publish(self, topic: str, payload: bytes) -> bool:
        self._step()
        if topic == topics.REPLAY:
            message = decode(payload)
            assert isinstance(message, ReplayRequest)
            self.since = message.since
        elif topic == topics.ALERTS:
            if not self.accepts_alerts:
                return False
            self._publish(payload)
        return True

    def publish_cloud(self, topic: str, payload: bytes) -> bool:
        self._step()
        assert len(payload) <= MAX_PAYLOAD
        if not self.up:
            return False
        self._arrive(payload)
        self._step()
        if topic == topics.cloud_alerts(THING):
            self._echoes.append(payload)
        return True

    def resubscribe_unmonitored(self, reason: str) -> None:
        """Do nothing: subscriptions of this bus never stop delivering."""

    def take_queued(self, topic: str) -> None:
        """Do nothing: this bus has no queue."""

    def echo(self, service: AlertDispatcher) -> None:
        """Deliver the echoes of IoT Core."""
        echoes, self._echoes = self._echoes, []
        for payload in echoes:
            service.on_echo(payload)


def arrived(lines: list[bytes]) -> Arrived:
    """Summarize the payloads that IoT Core received."""
    found = Arrived()
    for line in lines:
        found.add(msgspec.json.decode(line))
    return found
