"""The bus of one AlertDispatcher, and the IoT Core behind it, which remembers in few bytes what arrived."""

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
    """What IoT Core got, in order.

    Attributes:
        alerts: (id, state, time) at their first arrival.
        times: event times of results at their first arrival.
        flags: id of each message -> whether it was flagged late.
        repeated: messages that came again with the same id.
        renamed: messages whose content came again with another id.
    """

    alerts: list[tuple[str, str, str]] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    flags: dict[str, bool] = field(default_factory=dict)
    repeated: int = 0
    renamed: int = 0
    _seen: dict[object, str] = field(default_factory=dict)

    def take(self, message: dict[str, Any]) -> None:
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
    """A `Bus` whose way to IoT Core is `up` or not, and whose local broker takes alerts or does not (`takes_alerts`).

    Args:
        arrive: called with each payload that IoT Core gets.
        publish: called with each alert that the local broker takes.
    """

    def __init__(
        self,
        arrive: Callable[[bytes], object],
        step: Callable[[], None] = lambda: None,
        publish: Callable[[bytes], object] = lambda payload: None,
    ) -> None:
        self.up = self.takes_alerts = True
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
            if not self.takes_alerts:
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

    def resubscribe_unmonitored(self, why: str) -> None:
        """Its subscriptions do not die."""

    def take_queued(self, topic: str) -> None:
        """Nothing waits."""

    def echo(self, service: AlertDispatcher) -> None:
        """Hand back what IoT Core echoes."""
        echoes, self._echoes = self._echoes, []
        for payload in echoes:
            service.on_echo(payload)


def arrived(lines: list[bytes]) -> Arrived:
    """What IoT Core got, from payloads."""
    found = Arrived()
    for line in lines:
        found.take(msgspec.json.decode(line))
    return found
