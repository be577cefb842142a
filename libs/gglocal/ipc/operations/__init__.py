"""The operations, by name; each handler reads: arguments, authorization, call, answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gglocal.ipc.operations import (
    defer_component_update,
    get_configuration,
    get_secret_value,
    publish_to_iot_core,
    publish_to_topic,
    subscribe_to_component_updates,
    subscribe_to_configuration_update,
    subscribe_to_iot_core,
    subscribe_to_topic,
    update_configuration,
    update_state,
)
from gglocal.ipc.request import Request

Outcome = dict[str, Any] | None | Awaitable[dict[str, Any] | None]
Handler = Callable[[Request], Outcome]

OPERATIONS: dict[str, Handler] = {
    "DeferComponentUpdate": defer_component_update.handle,
    "GetConfiguration": get_configuration.handle,
    "GetSecretValue": get_secret_value.handle,
    "PublishToIoTCore": publish_to_iot_core.handle,
    "PublishToTopic": publish_to_topic.handle,
    "SubscribeToComponentUpdates": subscribe_to_component_updates.handle,
    "SubscribeToConfigurationUpdate": subscribe_to_configuration_update.handle,
    "SubscribeToIoTCore": subscribe_to_iot_core.handle,
    "SubscribeToTopic": subscribe_to_topic.handle,
    "UpdateConfiguration": update_configuration.handle,
    "UpdateState": update_state.handle,
}
