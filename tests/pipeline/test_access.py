"""Least privilege: every resource in every accessControl is needed, and its absence is reported by name."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeml.messages import Permit, encode, topics
from edgeml_cli.demo.scenario import ASSET
from gglocal.errors import NucleusError
from tests.pipeline.line import COMPONENTS, THING, access, valve

ROOT = Path(__file__).parents[2]


def granted() -> Iterator[tuple[str, str, str, str, str]]:
    """(component, service, policy, operation, resource) of all recipes."""
    for component in COMPONENTS:
        recipe = yaml.safe_load((ROOT / "recipes" / f"{component}.yaml").read_text())
        for service, policies in recipe["ComponentConfiguration"]["DefaultConfiguration"]["accessControl"].items():
            for name, policy in policies.items():
                for operation in policy["operations"]:
                    for resource in policy["resources"]:
                        yield component, service, name, operation, resource


def short(grant: tuple[str, ...]) -> str:
    return f"{grant[0].rsplit('.', 1)[-1]}-{grant[3].rsplit('#', 1)[-1]}-{grant[4]}"


@pytest.mark.parametrize("grant", list(granted()), ids=short)
def test_pipeline_without_one_resource_is_denied_exactly_that_one(line, built, version, grant):
    component, service, policy, operation, resource = grant
    suite = line()
    scenario = valve(speed=0)
    config: dict[str, Any] = copy.deepcopy(scenario.config)
    everything_on(config)
    lacking = access(built, version, component)
    lacking[service][policy]["resources"] = [each for each in resources(lacking, service, policy) if each != resource]
    config.setdefault(component, {})["accessControl"] = lacking
    refused: set[tuple[str, str, str]] = set()
    suite.deploy(config, version)
    wanted = (component, operation, resource.replace("+", THING))

    permitted = 0.0

    def met() -> bool:
        nonlocal permitted
        if time.monotonic() > permitted + 0.2:
            permitted = time.monotonic()
            with suppress(NucleusError):  # no component has made the key yet
                suite.nucleus.publish(topics.INTERLOCK, encode(Permit(asset=ASSET, allowed=True)), signed=True)
        refused.update((refusal.component, refusal.operation, refusal.resource) for refusal in suite.nucleus.refusals)
        return bool(refused)

    suite.until(met, 60, f"a refusal of {wanted[2]}")
    assert refused == {wanted}
    sentence = f"UnauthorizedError: {operation} on {wanted[2]} is denied"
    suite.until(lambda: sentence in suite.log(component), 20, sentence)


def everything_on(config: dict[str, Any]) -> None:
    """Options that use a resource only if they are configured."""
    for asset in config["com.edgeml.SensorIngestion"]["assets"].values():
        asset["lockout_after"] = "stop"
    config["com.edgeml.SensorIngestion"]["capture"] |= {"segment_rows": 50, "upload": True, "upload_confirmation": "echo"}
    interlock = {"allow_when": "flow > -1000", "permit": True, "event_time": False}  # the scenario's times are not today's
    config.setdefault("com.edgeml.AlertDispatcher", {})["actions"] = {"command": {"interlock": interlock}}
    config["com.edgeml.AlertDispatcher"]["outbox"] = {"confirmation": {"health": "echo", "results": "echo"}}


def test_pipeline_with_all_resources_is_denied_nothing(line, version):
    suite = line()
    scenario = valve(speed=100)
    suite.deploy(scenario.config, version)
    suite.follow(scenario)
    assert suite.nucleus.refusals == []


def resources(control: dict[str, Any], service: str, policy: str) -> list[str]:
    return control[service][policy]["resources"]
