"""Writes alerts to the component's log."""

from __future__ import annotations

import logging

from alert_dispatcher.actions.base import Action, ActionContext, ActionOptions
from alert_dispatcher.state_db import PendingAlert
from edgeml.alarms.alarm_policy import ACKNOWLEDGED, ACTIVE

log = logging.getLogger("alert_dispatcher.alarms")


class LogOptions(ActionOptions, frozen=True, kw_only=True):
    """No further options."""


class LogAction(Action):
    """Logs one line for each change: a warning while the alarm is active or acknowledged, else information."""

    def __init__(self, context: ActionContext, options: LogOptions) -> None:
        pass

    def act(self, pending: PendingAlert) -> None:
        alert = pending.alert
        level = logging.WARNING if alert.state in (ACTIVE, ACKNOWLEDGED) else logging.INFO
        note = f" ({alert.note})" if alert.note else ""
        log.log(level, "alarm %s %s at %s: %s%s", alert.id, alert.state, alert.at, alert.why, note)
