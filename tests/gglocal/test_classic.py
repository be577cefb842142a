"""Differences between the classic nucleus and Lite: configurations, dependencies and removal."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import (
    ConfigurationValidityReport,
    ConfigurationValidityStatus,
    InvalidArgumentsError,
    ServiceError,
    UnauthorizedError,
)

from gglocal.api.nucleus import Nucleus
from gglocal.cli.main import main
from gglocal.errors import DeploymentError
from tests.gglocal.ipc_world import EVERYTHING, Inbox
from tests.gglocal.recipes import RecipeFolder

SERVE = {"run": "exec sleep 1000"}
CLOUD = "aws.greengrass.ipc.mqttproxy"
NUCLEUS = "aws.greengrass.Nucleus"


def access(resource: str) -> dict[str, Any]:
    return {"accessControl": {CLOUD: {"one": {"operations": ["aws.greengrass#PublishToIoTCore"], "resources": [resource]}}}}


def resources(nucleus: Nucleus, name: str) -> list[str]:
    return list(nucleus.component(name).configuration["accessControl"][CLOUD]["one"]["resources"])


@pytest.fixture
def classic(gglocal_factory: Callable[..., Nucleus]) -> Nucleus:
    return gglocal_factory(profile="classic")


def test_configuration_variables_are_replaced_only_with_the_nucleus_option(classic: Nucleus, tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", SERVE, config=access("{iot:thingName}/x") | {"at": "{work:path}/y", "own": "{configuration:/at}", "other": "{a b}"})
    classic.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})
    assert resources(classic, "a") == ["{iot:thingName}/x"]
    option = {NUCLEUS: {"merge": {"interpolateComponentConfiguration": "true"}}}
    classic.deploy(folder.recipes, folder.artifacts, {NUCLEUS: "2.17.0"}, option)
    found = classic.component("a").configuration
    assert resources(classic, "a") == ["gglocal/x"]
    assert (found["at"], found["own"], found["other"]) == (f"{classic.work_dir('a')}/y", "{configuration:/at}", "{a b}")


def test_unreplaced_variable_is_reported_by_refusal_and_lint(
    classic: Nucleus, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    env = classic.client_env("com.test.A", access("{iot:thingName}/x")["accessControl"])
    socket = env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]
    client = GreengrassCoreIPCClientV2(client=connect(ipc_socket=socket, authtoken=env["SVCUID"]))
    with pytest.raises(UnauthorizedError):
        client.publish_to_iot_core(topic_name="gglocal/x", qos="1", payload=b"x")
    assert "set the option interpolateComponentConfiguration of aws.greengrass.Nucleus" in caplog.text
    client.close()
    path = RecipeFolder(tmp_path).add("a", SERVE, config=access("{iot:thingName}/x"))
    assert main(["lint", str(path)]) == 1 and "write + for a level" in capsys.readouterr().out
    assert main(["lint", str(RecipeFolder(tmp_path).add("a", SERVE, config=access("+/x")))]) == 0


def test_configuration_of_a_mere_dependency_is_ignored(classic: Nucleus, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("top", SERVE, needs={"lib": "HARD"})
    folder.add("lib", SERVE, config={"x": 1})
    update = {"lib": {"merge": {"x": 2}}, "absent": {"merge": {"x": 2}}}
    with caplog.at_level(logging.WARNING, "gglocal"):
        classic.deploy(folder.recipes, folder.artifacts, {"top": "1.0.0"}, update)
    assert classic.component("lib").configuration == {"x": 1}
    assert "name it with --merge lib=VERSION" in caplog.text and "configuration of absent ignored" in caplog.text
    classic.deploy(folder.recipes, folder.artifacts, {"lib": "1.0.0"}, update)
    assert classic.component("lib").configuration == {"x": 2}
    # It is a root component now, so a deployment need not name it again.
    classic.deploy(folder.recipes, folder.artifacts, {}, {"lib": {"merge": {"x": 3}}})
    assert classic.component("lib").configuration == {"x": 3}


def test_deploy_makes_configured_dependencies_root_components(classic: Nucleus, tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("top", SERVE, needs={"lib": "HARD"})
    folder.add("lib", SERVE, config={"x": 1})
    places = ("--recipe-dir", str(folder.recipes), "--artifact-dir", str(folder.artifacts), "--root", str(classic.root.path))
    assert main(["deploy", *places, "--merge", "top=1.0.0", "--config", json.dumps({"lib": {"merge": {"x": 2}}})]) == 0
    assert classic.component("lib").configuration == {"x": 2}


def test_newer_default_replaces_no_existing_value(gglocal_factory: Callable[..., Nucleus], tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", SERVE, config={"x": "1", "deep": {"old": "1"}})
    folder.add("a", SERVE, "1.1.0", config={"x": "2", "deep": {"new": "2"}})
    for profile, x in (("classic", "1"), ("lite", "2")):
        nucleus = gglocal_factory(profile=profile)
        for version in ("1.0.0", "1.1.0"):
            nucleus.deploy(folder.recipes, folder.artifacts, {"a": version})
        assert nucleus.component("a").configuration == {"x": x, "deep": {"old": "1", "new": "2"}}
        nucleus.deploy(folder.recipes, folder.artifacts, {"a": "1.1.0"}, {"a": {"reset": ["/x"]}})
        assert nucleus.component("a").configuration["x"] == "2"


@pytest.mark.parametrize(("step", "left"), [("echo gone > ../left", ["gone"]), ("echo gone > ../left; exit 7", ["gone"])])
def test_uninstall_runs_on_removal_but_not_on_update(classic: Nucleus, tmp_path: Path, step: str, left: list[str]) -> None:
    folder = RecipeFolder(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        folder.add("a", SERVE | {"uninstall": step}, version)
    folder.add("b", SERVE)
    trace = classic.root.work / "left"
    for version in ("1.0.0", "1.1.0"):
        classic.deploy(folder.recipes, folder.artifacts, {"a": version, "b": "1.0.0"})
        classic.wait_for_state("a", "RUNNING")
    classic.restart("a")
    assert not trace.exists()
    classic.deploy(folder.recipes, folder.artifacts, remove=["a"])
    assert trace.read_text().split() == left and [each.name for each in classic.components()] == ["b"]
    assert ("uninstall ended with exit code 7" in classic.tail("a")) is ("exit 7" in step)


def test_lite_runs_no_uninstall(gglocal: Nucleus, tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", SERVE | {"uninstall": "echo gone > ../left"})
    folder.add("b", SERVE)
    gglocal.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0", "b": "1.0.0"})
    gglocal.wait_for_state("a", "RUNNING")
    gglocal.deploy(folder.recipes, folder.artifacts, remove=["a"])
    assert not (gglocal.root.work / "left").exists()


def test_secret_manager_can_be_a_hard_dependency(gglocal_factory: Callable[..., Nucleus], classic: Nucleus, tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", SERVE, needs={"aws.greengrass.SecretManager": "HARD"})
    assert classic.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"}) == ["a"]
    with pytest.raises(DeploymentError, match=r"no recipe of aws\.greengrass\.SecretManager"):
        gglocal_factory(profile="lite").deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})


def test_effective_configuration_is_written_as_on_a_device(classic: Nucleus, tmp_path: Path) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("top", SERVE, needs={"lib": "HARD"})
    folder.add("lib", SERVE, "2.0.0", config={"x": "é"})
    classic.deploy(folder.recipes, folder.artifacts, {"top": "1.0.0"})
    path = classic.root.path / "config" / "effectiveConfig.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert found["system"]["thingName"] == "gglocal" and found["system"]["rootpath"] == str(classic.root.path)
    services = found["services"]
    assert services[NUCLEUS]["configuration"]["awsRegion"] == "us-east-1"
    assert services["main"]["dependencies"] == [NUCLEUS, "top"]
    assert services["top"]["dependencies"] == ["lib:HARD"]
    assert services["lib"]["version"] == "2.0.0" and services["lib"]["configuration"] == {"x": "é"}
    classic.deploy(folder.recipes, folder.artifacts, {"lib": "2.0.0"}, {"lib": {"merge": {"x": "y"}}})
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["services"]["lib"]["configuration"] == {"x": "y"}


class Validator:
    """A component that validates its configuration."""

    def __init__(self, nucleus: Nucleus, name: str) -> None:
        env = nucleus.client_env(name, EVERYTHING)
        socket = env["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"]
        self.client = GreengrassCoreIPCClientV2(client=connect(ipc_socket=socket, authtoken=env["SVCUID"]))
        self.asked = Inbox()
        self.client.subscribe_to_validate_configuration_updates(on_stream_event=self.asked)

    def answer(self, deployment: str, status: str, message: str | None = None) -> None:
        report = ConfigurationValidityReport(status=status, deployment_id=deployment, message=message)
        self.client.send_configuration_validity_report(configuration_validity_report=report)


@pytest.mark.parametrize("status", [ConfigurationValidityStatus.ACCEPTED, ConfigurationValidityStatus.REJECTED])
def test_component_validates_its_configuration_before_a_change(classic: Nucleus, tmp_path: Path, status: str) -> None:
    folder = RecipeFolder(tmp_path)
    folder.add("a", SERVE, config=EVERYTHING_OF_A)
    classic.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})
    classic.wait_for_state("a", "RUNNING")
    validator = Validator(classic, "a")
    with ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(classic.deploy, folder.recipes, folder.artifacts, {}, {"a": {"merge": {"x": 2}}})
        event = validator.asked.take().validate_configuration_update_event
        assert event.configuration["x"] == 2 and classic.component("a").configuration["x"] == 1
        validator.answer(event.deployment_id, status, "x must be odd")
        if status == ConfigurationValidityStatus.ACCEPTED:
            assert deploying.result(30) == ["a"] and classic.component("a").configuration["x"] == 2
        else:
            with pytest.raises(DeploymentError, match="configuration is invalid: a: x must be odd"):
                deploying.result(30)
            assert classic.component("a").configuration["x"] == 1
    with pytest.raises(InvalidArgumentsError):
        validator.answer(event.deployment_id, status)
    # Without a change no component is asked, and a component without a subscription is not asked either.
    begun = time.monotonic()
    classic.deploy(folder.recipes, folder.artifacts, {"a": "1.0.0"})
    validator.client.close()
    classic.wait_until(lambda: not classic._nucleus.engine.core.config_validation._receivers, 30)
    classic.deploy(folder.recipes, folder.artifacts, {}, {"a": {"merge": {"x": 5}}})
    assert classic.component("a").configuration["x"] == 5 and time.monotonic() - begun < 20


EVERYTHING_OF_A = {"x": 1, "accessControl": EVERYTHING}


def test_lite_supports_no_configuration_validation(gglocal: Nucleus) -> None:
    with pytest.raises(ServiceError):
        Validator(gglocal, "a")
