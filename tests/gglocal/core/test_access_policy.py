from __future__ import annotations

from typing import Any

import pytest

from gglocal.core.access_policy import VariableScope, allows
from gglocal.core.config_store import ConfigStore
from gglocal.recipe.access_control import policy_errors, well_formed

PUBLISH, SUBSCRIBE = "aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"
TO_CLOUD, FROM_CLOUD = "aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"
LOCAL, CLOUD = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy"
BOTH = [True, False]


def scope() -> VariableScope:
    config = ConfigStore()
    config.set_default("com.test.One", {"where": {"to": "hall/7"}, "n": 3})
    return VariableScope("com.test.One", "1.0.0", "a-thing", "/gg", config)


def evaluate(service: str, operation: str, pattern: str, resource: str, lite: bool) -> bool:
    return allows(lite, {service: {"p": {"operations": [operation], "resources": [pattern]}}}, service, operation, resource, scope())


LOCAL_TABLE = [
    # pattern, resource, allowed
    ("a/b", "a/b", True),
    ("a/b", "a/bc", False),
    ("a/b", "A/b", False),
    ("*", "anything/at/all", True),
    ("a/*", "a/b/c/d", True),
    ("a/*", "b/a/", False),
    ("a/*/d", "a/b/c/d", True),
    ("a/*/d", "a/d", False),
    ("*a*b*", "xxaxxbxx", True),
    ("a*", "a", True),
    ("a/+/c", "a/b/c", False),
    ("a/+/c", "a/+/c", True),
    ("a/#", "a/b", False),
    ("a/#", "a/#", True),
    ("a/*", "a/#", True),
    ("a/${*}", "a/*", True),
    ("a/${*}", "a/b", False),
    ("a/${$}", "a/$", True),
    ("a.b", "a.b", True),
    ("a.b", "axb", False),
    ("{configuration:/nowhere}/x", "/x", False),
]


@pytest.mark.parametrize("lite", BOTH)
@pytest.mark.parametrize(("pattern", "resource", "allowed"), LOCAL_TABLE)
def test_local_resource_patterns(pattern: str, resource: str, allowed: bool, lite: bool) -> None:
    assert evaluate(LOCAL, PUBLISH, pattern, resource, lite) is allowed
    assert evaluate(LOCAL, SUBSCRIBE, pattern, resource, lite) is allowed


CLOUD_TABLE = [
    ("a/+/c", "a/b/c", True),
    ("a/+/c", "a/b/x/c", False),
    ("a/+/c", "a/+/c", True),
    ("a/#", "a/b/c", True),
    ("a/#", "a/+/b", True),
    ("a/#", "b/a", False),
    ("#", "a/b", True),
    ("a/*/c", "a/b/x/c", True),
]
VARIABLES = [
    ("{iot:thingName}/x", "a-thing/x"),
    ("{iot:thingName}/*", "a-thing/x/y"),
    ("{configuration:/where/to}/x", "hall/7/x"),
    ("{configuration:/n}/x", "3/x"),
]


@pytest.mark.parametrize(("pattern", "resource"), VARIABLES)
def test_recipe_variables_in_resources_are_replaced_on_lite_only(pattern: str, resource: str) -> None:
    plain = pattern.replace("/*", "/x/y")
    for service, operation in ((LOCAL, PUBLISH), (CLOUD, TO_CLOUD)):
        assert evaluate(service, operation, pattern, resource, lite=True) and not evaluate(service, operation, pattern, plain, lite=True)
        assert evaluate(service, operation, pattern, plain, lite=False) and not evaluate(service, operation, pattern, resource, lite=False)
    assert not evaluate(CLOUD, TO_CLOUD, "{iot:thingName}/+/x", "another/b/x", lite=True)
    assert not evaluate(LOCAL, PUBLISH, "{no:such}", "{no:such}", lite=True)


@pytest.mark.parametrize("lite", BOTH)
@pytest.mark.parametrize(("pattern", "resource", "allowed"), CLOUD_TABLE)
def test_iot_core_resources_support_mqtt_wildcards(pattern: str, resource: str, allowed: bool, lite: bool) -> None:
    assert evaluate(CLOUD, TO_CLOUD, pattern, resource, lite) is allowed
    assert evaluate(CLOUD, FROM_CLOUD, pattern, resource, lite) is allowed


def test_hash_matches_the_parent_level_on_classic_only() -> None:
    assert not evaluate(CLOUD, TO_CLOUD, "a/#", "a", lite=True)
    assert evaluate(CLOUD, TO_CLOUD, "a/#", "a", lite=False)


@pytest.mark.parametrize(
    ("resource", "good"),
    [
        ("a/b", True),
        ("$aws/x", True),
        ("a/${*}/${?}/${$}", True),
        ("a/b?", False),
        ("a${x}b", False),
        ("a${", False),
        ("a${?", False),
    ],
)
def test_lite_accepts_only_well_formed_resources(resource: str, good: bool) -> None:
    assert well_formed(resource) is good
    assert evaluate(LOCAL, PUBLISH, "*", resource, lite=True) is good
    assert evaluate(LOCAL, PUBLISH, "*", resource, lite=False)


@pytest.mark.parametrize("lite", BOTH)
def test_policy_grants_operations_of_its_own_service(lite: bool) -> None:
    def granted(service: str, *operations: str) -> bool:
        return allows(lite, {service: {"p": {"operations": list(operations), "resources": ["*"]}}}, LOCAL, PUBLISH, "a", scope())

    assert granted(LOCAL, "*")
    assert granted(LOCAL, SUBSCRIBE, PUBLISH)
    assert not granted(LOCAL, SUBSCRIBE)
    assert not granted(LOCAL, "PublishToTopic")
    assert not granted(CLOUD, "*")


@pytest.mark.parametrize("lite", BOTH)
@pytest.mark.parametrize(
    "nothing",
    [
        None,
        {},
        "text",
        {LOCAL: None},
        {LOCAL: []},
        {LOCAL: {"p": {"operations": ["*"]}}},
        {LOCAL: {"p": {"operations": "*", "resources": "*"}}},
        {LOCAL: {"p": {"operations": ["*"], "resources": [5]}}},
    ],
)
def test_malformed_policy_grants_nothing(nothing: Any, lite: bool) -> None:
    assert not allows(lite, nothing, LOCAL, PUBLISH, "a", scope())


def test_lite_ignores_policies_after_one_that_is_not_a_map() -> None:
    good = {"operations": ["*"], "resources": ["*"]}
    assert allows(True, {LOCAL: {"p": good, "q": "bad"}}, LOCAL, PUBLISH, "a", scope())
    assert not allows(True, {LOCAL: {"q": "bad", "p": good}}, LOCAL, PUBLISH, "a", scope())
    assert allows(True, {LOCAL: {"bad": {"operations": ["*"]}, "p": good}}, LOCAL, PUBLISH, "a", scope())


def test_malformed_policy_voids_all_policies_on_classic() -> None:
    good = {"operations": ["*"], "resources": ["*"]}
    assert allows(True, {LOCAL: {"p": good}, CLOUD: {"q": "bad"}}, LOCAL, PUBLISH, "a", scope())
    assert not allows(False, {LOCAL: {"p": good}, CLOUD: {"q": "bad"}}, LOCAL, PUBLISH, "a", scope())


def test_policy_errors_name_each_malformed_policy() -> None:
    reported = policy_errors({LOCAL: {"p": {"operations": ["*"]}, "q": {"operations": [], "resources": []}}, CLOUD: 5})
    assert reported == [
        f"policy p of {LOCAL} grants nothing: it needs a list of strings named resources",
        f"accessControl of {CLOUD} is not a map of policies, so it grants nothing",
    ]
