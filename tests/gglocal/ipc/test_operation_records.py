"""The table of IPC operations: one record each, from which authorization, lint, faults and the README follow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from awsiot.greengrasscoreipc import model

from gglocal.core.fault_injection import CallFilter, FaultInjector
from gglocal.faults import config_restart, pubsub_restart
from gglocal.ipc import operations
from gglocal.ipc.operations import OPERATIONS, SERVICES
from gglocal.profile import CLASSIC, PROFILES
from tests.gglocal.ipc_world import World, world

FOLDER = Path(operations.__file__).parent
HELPERS = {"__init__", "qos"}


def test_every_record_names_its_own_module_and_known_profiles() -> None:
    modules = {path.stem for path in FOLDER.glob("*.py")} - HELPERS
    named = {record.handler.__module__.rpartition(".")[2]: record.name for record in OPERATIONS.values()}
    assert named.keys() == modules and len(named) == len(OPERATIONS)
    assert {name.replace("IoT", "Iot") for name in named.values()} == {
        "".join(word.capitalize() for word in module.split("_")) for module in modules
    }
    assert {profile for record in OPERATIONS.values() for profile in record.profiles} == PROFILES.keys()


def test_sdk_has_every_operation() -> None:
    assert [name for name in OPERATIONS if not hasattr(model, f"{name}Request")] == []


def test_readme_lists_every_operation() -> None:
    readme = (FOLDER.parents[1] / "README.md").read_text()
    rows = re.findall(r"^\| ([A-Z]\w+) \| (?:`([\w.]+)`|–) \| ([a-z, ]+) \|$", readme, re.MULTILINE)
    assert rows == [(record.name, record.service, ", ".join(record.profiles)) for record in OPERATIONS.values()]


def test_services_are_named_by_the_full_name_of_each_operation() -> None:
    assert SERVICES["aws.greengrass#PublishToTopic"] == "aws.greengrass.ipc.pubsub" and SERVICES["aws.greengrass#UpdateState"] == ""
    assert len(SERVICES) == len(OPERATIONS)


ARGUMENTS: dict[str, Any] = {
    "topic": "a",
    "topicName": "a",
    "qos": "1",
    "publishMessage": {"jsonMessage": {"message": 1}},
    "secretId": "a",
    "componentName": "a",
    "deploymentId": "a",
    "thingName": "a",
    "state": "RUNNING",
    "valueToMerge": {},
    "timestamp": 1.5,
    "configurationValidityReport": {"deploymentId": "a", "status": "ACCEPTED"},
}
"""Valid arguments of every operation. A new operation adds its own; `thingName` is that of the example in docs/extending.md."""


def unauthorized(nucleus: World, name: str, services: Iterable[str]) -> bool:
    """Whether the operation is refused to a component whose policies allow everything of these services."""
    policies = {service: {"p": {"operations": ["*"], "resources": ["*"]}} for service in services}
    client = nucleus.raw(nucleus.token(access_control=policies))
    answer = client.call(1, name, json.dumps(ARGUMENTS).encode())
    client.socket.close()
    return answer.headers["service-model-type"] == "aws.greengrass#UnauthorizedError"


def test_each_operation_is_authorized_by_policies_of_its_service_alone() -> None:
    services = {record.service for record in OPERATIONS.values()} - {""}
    with world(CLASSIC) as nucleus:
        for record in OPERATIONS.values():
            assert unauthorized(nucleus, record.name, services - {record.service}) == bool(record.service), record.name
            assert not unauthorized(nucleus, record.name, {record.service} - {""}), record.name


@pytest.mark.parametrize("names", [config_restart._AUTHORIZED, config_restart._CONFIGURATION, pubsub_restart._PUBSUB])
def test_faults_refuse_known_operations(names: str) -> None:
    assert names and set(names.split(",")) <= OPERATIONS.keys()
    injector = FaultInjector()
    injector.refuse(CallFilter(names), "ServiceError")
    refused = {name for name in OPERATIONS if injector.refusal(name, "com.example.A", "")}
    assert refused == set(names.split(","))
