"""Sends alerts to the operators' topic in IoT Core."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from alert_dispatcher.actions.base import Action, ActionOptions, Surroundings
from alert_dispatcher.cloud import CloudQueue
from edgeml import topics
from edgeml.messages import Alert, encode_json


class IotCoreOptions(ActionOptions, frozen=True, kw_only=True):
    """How long an alert is tried."""

    retry_s: Annotated[float, Meta(ge=0, description="s of the clock for which an alert is tried again while IoT Core is away")] = 30.0


class IotCoreAction(Action):
    """`Alert` as JSON for each change of an alarm that was raised; what never became active is not sent."""

    def __init__(self, surroundings: Surroundings, options: IotCoreOptions) -> None:
        self._monotonic = surroundings.monotonic
        self._queue = CloudQueue(surroundings.bus, topics.cloud_alerts(surroundings.thing), retry_s=options.retry_s)

    def act(self, alert: Alert, decided_ns: int) -> None:
        if alert.raised_at is not None:
            self._queue.put(encode_json(alert), self._monotonic())

    def tick(self, now: float) -> float:
        return self._queue.tick(now)

    def queues(self) -> tuple[CloudQueue]:
        return (self._queue,)

    def close(self) -> None:
        self._queue.tick(self._monotonic(), at_most=len(self._queue))
