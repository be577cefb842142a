"""The table of IPC operations. A new operation is a module in this folder and a record here."""

from __future__ import annotations

from gglocal.ipc.operation import CLASSIC_ONLY, CLI, EVERY_NUCLEUS, MQTT_PROXY, NO_POLICY, PUBSUB, SECRET_MANAGER, Operation
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

_RECORDS = (
    Operation("PublishToTopic", PUBSUB, EVERY_NUCLEUS, publish_to_topic.handle),
    Operation("SubscribeToTopic", PUBSUB, EVERY_NUCLEUS, subscribe_to_topic.handle),
    Operation("PublishToIoTCore", MQTT_PROXY, EVERY_NUCLEUS, publish_to_iot_core.handle),
    Operation("SubscribeToIoTCore", MQTT_PROXY, EVERY_NUCLEUS, subscribe_to_iot_core.handle),
    Operation("GetConfiguration", NO_POLICY, EVERY_NUCLEUS, get_configuration.handle),
    Operation("UpdateConfiguration", NO_POLICY, EVERY_NUCLEUS, update_configuration.handle),
    Operation("SubscribeToConfigurationUpdate", NO_POLICY, EVERY_NUCLEUS, subscribe_to_configuration_update.handle),
    Operation("UpdateState", NO_POLICY, EVERY_NUCLEUS, update_state.handle),
    Operation("GetSecretValue", SECRET_MANAGER, CLASSIC_ONLY, get_secret_value.handle),
    Operation("SubscribeToComponentUpdates", NO_POLICY, CLASSIC_ONLY, subscribe_to_component_updates.handle),
    Operation("DeferComponentUpdate", NO_POLICY, CLASSIC_ONLY, defer_component_update.handle),
    Operation("SubscribeToValidateConfigurationUpdates", NO_POLICY, CLASSIC_ONLY, subscribe_to_validate_configuration_updates.handle),
    Operation("SendConfigurationValidityReport", NO_POLICY, CLASSIC_ONLY, send_configuration_validity_report.handle),
    Operation("CreateLocalDeployment", CLI, CLASSIC_ONLY, create_local_deployment.handle),
    Operation("GetLocalDeploymentStatus", CLI, CLASSIC_ONLY, get_local_deployment_status.handle),
    Operation("ListLocalDeployments", CLI, CLASSIC_ONLY, list_local_deployments.handle),
    Operation("ListComponents", CLI, CLASSIC_ONLY, list_components.handle),
    Operation("GetComponentDetails", CLI, CLASSIC_ONLY, get_component_details.handle),
    Operation("RestartComponent", CLI, CLASSIC_ONLY, restart_component.handle),
    Operation("StopComponent", CLI, CLASSIC_ONLY, stop_component.handle),
)
OPERATIONS: dict[str, Operation] = {record.name: record for record in _RECORDS}
SERVICES: dict[str, str] = {record.full_name: record.service for record in _RECORDS}
"""The service by the full name of each operation, for the lint of `accessControl`."""
