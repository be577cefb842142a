"""Actions on alarms. A new action is one file here and one entry in `ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from alert_dispatcher.actions import command, iot_core, log
from alert_dispatcher.actions.base import Action, ActionContext


class ActionType(NamedTuple):
    """An entry of `ACTIONS`: a class of options, and a constructor that takes the context and an instance of that class."""

    options: type
    make: Callable[[ActionContext, Any], Action]


ACTIONS: dict[str, ActionType] = {
    "log": ActionType(log.LogOptions, log.LogAction),
    "command": ActionType(command.CommandOptions, command.CommandAction),
    "iot_core": ActionType(iot_core.IotCoreOptions, iot_core.IotCoreAction),
}

__all__ = ["ACTIONS", "Action", "ActionType", "ActionContext"]
