"""What can be done about an alarm. A new action is one file here and one entry in `ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from alert_dispatcher.actions import command, iot_core, log
from alert_dispatcher.actions.base import Action, Surroundings


class Entry(NamedTuple):
    """`options` is a msgspec.Struct class, `make` is called with the surroundings and an instance of it."""

    options: type
    make: Callable[[Surroundings, Any], Action]


ACTIONS: dict[str, Entry] = {
    "log": Entry(log.LogOptions, log.LogAction),
    "command": Entry(command.CommandOptions, command.CommandAction),
    "iot_core": Entry(iot_core.IotCoreOptions, iot_core.IotCoreAction),
}

__all__ = ["ACTIONS", "Action", "Entry", "Surroundings"]
