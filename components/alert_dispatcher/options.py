"""The configuration of the component."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alert_dispatcher.actions import ACTIONS
from alert_dispatcher.alarm_expiry import ExpiryOptions
from alert_dispatcher.health_conditions import HealthAlarmOptions
from alert_dispatcher.health_forwarder import HealthOptions
from alert_dispatcher.model_policies import ModelPolicies
from alert_dispatcher.result_reporter import ReportOptions
from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.cloud.outbox import OutboxOptions
from edgeml.config.schema import choose, entries, read
from edgeml.errors import OptionsError


class AlertDispatcherOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All options; the defaults are those of the recipe."""

    policy: PolicyOptions = PolicyOptions()
    policy_by_model: Annotated[
        dict[str, Any], Meta(description="options of `policy` for the results of a model, by its name; the others are those of `policy`")
    ] = {}
    actions: Annotated[dict[str, Any], Meta(description="actions on an alarm: name of the action to its options")] = msgspec.field(
        default_factory=lambda: {"log": {}, "command": {}, "iot_core": {}}
    )
    report: ReportOptions = ReportOptions()
    health_alarms: HealthAlarmOptions = HealthAlarmOptions()
    expiry: ExpiryOptions = ExpiryOptions()
    health: HealthOptions = HealthOptions()
    outbox: OutboxOptions = OutboxOptions()

    @staticmethod
    def check_raw(raw: dict[str, Any], where: str) -> list[str]:
        """Every fault of every action's options, and of every model's policy."""
        faults = _policy_faults(raw, where)
        actions = raw.get("actions")
        for name, options in entries(actions).items() if isinstance(actions, dict) else ():
            key = f"{where}.actions.{name}" if where else f"actions.{name}"
            try:
                read(choose(ACTIONS, name, key, "action").options, options, key)
            except OptionsError as wrong:
                faults += wrong.faults
        return faults


def _policy_faults(raw: dict[str, Any], where: str) -> list[str]:
    by_model = raw.get("policy_by_model")
    try:
        base = read(PolicyOptions, raw.get("policy"))
    except OptionsError:
        base = PolicyOptions()  # its faults are reported under its own key
    try:
        ModelPolicies(base, by_model if isinstance(by_model, dict) else {}, f"{where}.policy_by_model" if where else "policy_by_model")
    except OptionsError as wrong:
        return list(wrong.faults)
    return []
