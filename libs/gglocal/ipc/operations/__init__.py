"""The operations, by name; each handler reads: arguments, authorization, call, answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gglocal.ipc.operations import (
    create_local_deployment,
    defer_component_update,
    get_component_details,
    get_configuration,
    get_local_deployment_status,
    get_secret_value,
    list_components,
    list_local_deployments,
    publish_to_iot_core,
    publish_to_topic,
    restart_component,
    send_configuration_validity_report,
    stop_component,
    subscribe_to_component_updates,
    subscribe_to_configuration_update,
    subscribe_to_iot_core,
    subscribe_to_topic,
    subscribe_to_validate_configuration_updates,
    update_configuration,
    update_state,
)
from gglocal.ipc.request import Request

Outcome = dict[str, Any] | None | Awaitable[dict[str, Any] | None]
Handler = Callable[[Request], Outcome]

OPERATIONS: dict[str, Handler] = {
    "CreateLocalDeployment": create_local_deployment.handle,
    "DeferComponentUpdate": defer_component_update.handle,
    "GetComponentDetails": get_component_details.handle,
    "GetConfiguration": get_configuration.handle,
    "GetLocalDeploymentStatus": get_local_deployment_status.handle,
    "GetSecretValue": get_secret_value.handle,
    "ListComponents": list_components.handle,
    "ListLocalDeployments": list_local_deployments.handle,
    "PublishToIoTCore": publish_to_iot_core.handle,
    "PublishToTopic": publish_to_topic.handle,
    "RestartComponent": restart_component.handle,
    "SendConfigurationValidityReport": send_configuration_validity_report.handle,
    "StopComponent": stop_component.handle,
    "SubscribeToComponentUpdates": subscribe_to_component_updates.handle,
    "SubscribeToConfigurationUpdate": subscribe_to_configuration_update.handle,
    "SubscribeToIoTCore": subscribe_to_iot_core.handle,
    "SubscribeToTopic": subscribe_to_topic.handle,
    "SubscribeToValidateConfigurationUpdates": subscribe_to_validate_configuration_updates.handle,
    "UpdateConfiguration": update_configuration.handle,
    "UpdateState": update_state.handle,
}
