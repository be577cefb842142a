"""The configuration of the component."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alert_dispatcher.actions import ACTIONS
from alert_dispatcher.alarm_expiry import ExpiryOptions
from alert_dispatcher.health_alarms import HealthAlarmOptions
from alert_dispatcher.health_forwarder import HealthOptions
from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.cloud.outbox import OutboxOptions
from edgeml.config.schema import choose, entries, read
from edgeml.errors import OptionsError


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What of the results goes to the reporting topic in IoT Core."""

    enabled: Annotated[bool, Meta(description="whether results are reported at all")] = True
    interval_s: Annotated[
        float, Meta(ge=0, description="s of event time between reported results of an asset and model; 0 reports every one")
    ] = 60.0
    gather_s: Annotated[float, Meta(ge=0, le=60, description="s of the clock for which results are gathered into one message")] = 1.0


class AlertDispatcherOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All options; the defaults are those of the recipe."""

    policy: PolicyOptions = PolicyOptions()
    actions: Annotated[dict[str, Any], Meta(description="what is done about an alarm: name of the action to its options")] = msgspec.field(
        default_factory=lambda: {"log": {}, "command": {}, "iot_core": {}}
    )
    report: ReportOptions = ReportOptions()
    health_alarms: HealthAlarmOptions = HealthAlarmOptions()
    expiry: ExpiryOptions = ExpiryOptions()
    health: HealthOptions = HealthOptions()
    outbox: OutboxOptions = OutboxOptions()

    @staticmethod
    def check_raw(raw: dict[str, Any], where: str) -> list[str]:
        """Every fault of every action's options."""
        actions = raw.get("actions")
        faults: list[str] = []
        for name, options in entries(actions).items() if isinstance(actions, dict) else ():
            key = f"{where}.actions.{name}" if where else f"actions.{name}"
            try:
                read(choose(ACTIONS, name, key, "action").options, options, key)
            except OptionsError as wrong:
                faults += wrong.faults
        return faults
