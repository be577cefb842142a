"""The table of IPC operations: one record each, from which authorization, lint, faults and the README follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from awsiot.greengrasscoreipc import model

from gglocal.core.fault_injection import CallFilter, FaultInjector
from gglocal.faults import config_restart, pubsub_restart
from gglocal.ipc import operations
from gglocal.ipc.operations import OPERATIONS, SERVICES
from gglocal.profile import PROFILES

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


@pytest.mark.parametrize("names", [config_restart._AUTHORIZED, config_restart._CONFIGURATION, pubsub_restart._PUBSUB])
def test_faults_refuse_known_operations(names: str) -> None:
    assert names and set(names.split(",")) <= OPERATIONS.keys()
    injector = FaultInjector()
    injector.refuse(CallFilter(names), "ServiceError")
    refused = {name for name in OPERATIONS if injector.refusal(name, "com.example.A", "")}
    assert refused == set(names.split(","))
