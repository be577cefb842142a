"""Sends alerts to the operators' topic in IoT Core."""

from __future__ import annotations

from alert_dispatcher.actions.base import Action, ActionContext, ActionOptions
from alert_dispatcher.state_db import PendingAlert
from edgeml.cloud.outbox import ALERTS
from edgeml.messages import topics


class IotCoreOptions(ActionOptions, frozen=True, kw_only=True):
    """No further options; the outbox has those of the delivery."""


class IotCoreAction(Action):
    """Queues an `Alert` as JSON for each change of an alarm that was raised; an alarm that was never active is not sent."""

    def __init__(self, context: ActionContext, options: IotCoreOptions) -> None:
        self._outbox, self._topic = context.outbox, topics.cloud_alerts(context.thing)

    def act(self, pending: PendingAlert) -> None:
        if pending.alert.raised_at is not None:
            self._outbox.put(ALERTS, self._topic, pending.json, pending.event_ns)
