"""Writes alerts to the component's log."""

from __future__ import annotations

import logging

from alert_dispatcher.actions.base import Action, ActionContext, ActionOptions
from edgeml.alarms.alarm_policy import ACKNOWLEDGED, ACTIVE
from edgeml.messages import Alert

log = logging.getLogger("alert_dispatcher.alarms")


class LogOptions(ActionOptions, frozen=True, kw_only=True):
    """No options."""


class LogAction(Action):
    """One line for each change: a warning while the asset is alarmed, else information."""

    def __init__(self, surroundings: ActionContext, options: LogOptions) -> None:
        pass

    def act(self, alert: Alert, decided_ns: int) -> None:
        level = logging.WARNING if alert.state in (ACTIVE, ACKNOWLEDGED) else logging.INFO
        note = f" ({alert.note})" if alert.note else ""
        log.log(level, "alarm %s %s at %s: %s%s", alert.id, alert.state, alert.at, alert.why, note)
