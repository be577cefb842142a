"""Sends alerts to the operators' topic in IoT Core."""

from __future__ import annotations

from alert_dispatcher.actions.base import Action, ActionContext, ActionOptions
from edgeml.cloud.outbox import ALERTS
from edgeml.messages import Alert, encode_json, topics
from edgeml.timestamps import from_iso


class IotCoreOptions(ActionOptions, frozen=True, kw_only=True):
    """No options; how it is sent is the outbox's."""


class IotCoreAction(Action):
    """`Alert` as JSON for each change of an alarm that was raised; what never became active is not sent."""

    def __init__(self, surroundings: ActionContext, options: IotCoreOptions) -> None:
        self._outbox, self._topic = surroundings.outbox, topics.cloud_alerts(surroundings.thing)

    def act(self, alert: Alert, decided_ns: int) -> None:
        if alert.raised_at is not None:
            self._outbox.put(ALERTS, self._topic, encode_json(alert), from_iso(alert.at))
