"""The description of a failed call asserts no more than is known."""

from __future__ import annotations

import pytest
from awsiot.greengrasscoreipc.model import ServiceError, UnauthorizedError

from edgeml.ipc.call_errors import GRANTED, GRANTED_BY_VARIABLE, MISSING, describe, grant
from edgeml.ipc.publish_failures import RESTART_S, PublishFailures

PUBLISH, TO_CLOUD = "aws.greengrass#PublishToTopic", "aws.greengrass#PublishToIoTCore"


def access(operation: str, *resources: object, other: bool = False) -> dict:
    """Policies of the operation's service; `other`: of the other service."""
    service = "mqttproxy" if (operation == TO_CLOUD) is not other else "pubsub"
    return {f"aws.greengrass.ipc.{service}": {"one": {"operations": [operation], "resources": list(resources)}}}


@pytest.mark.parametrize(
    ("control", "operation", "topic", "expected"),
    [
        (access(PUBLISH, "a/b"), PUBLISH, "a/b", GRANTED),
        (access("*", "a/b"), PUBLISH, "a/b", GRANTED),
        (access(PUBLISH, "a/*"), PUBLISH, "a/b/c", GRANTED),
        (access(PUBLISH, "*"), PUBLISH, "a/b", GRANTED),
        (access(PUBLISH, "a/b"), PUBLISH, "a/c", MISSING),
        (access(TO_CLOUD, "a/b"), PUBLISH, "a/b", MISSING),
        (access("*", "*"), TO_CLOUD, "a/b", MISSING),  # grants pub/sub only
        (access(PUBLISH, "a/b", other=True), PUBLISH, "a/b", MISSING),
        (access(PUBLISH, "a/#"), PUBLISH, "a/b", MISSING),  # literal for local topics
        (access(TO_CLOUD, "a/#"), TO_CLOUD, "a/b/c", GRANTED),
        (access(TO_CLOUD, "a/+/c"), TO_CLOUD, "a/b/c", GRANTED),
        (access(TO_CLOUD, "a/{iot:thingName}/c"), TO_CLOUD, "a/thing-1/c", GRANTED_BY_VARIABLE),
        (access(TO_CLOUD, "a/{iot:thingName}/d", "a/thing-1/c"), TO_CLOUD, "a/thing-1/c", GRANTED),
        (access(TO_CLOUD, "a/{iot:thingName}/c"), TO_CLOUD, "a/thing/1/c", MISSING),
        ({}, PUBLISH, "a/b", MISSING),
        ("x", PUBLISH, "a/b", MISSING),
        ({"aws.greengrass.ipc.pubsub": {"p": 2, "q": {"operations": 3}}}, PUBLISH, "a", MISSING),
        ({"aws.greengrass.ipc.pubsub": 1}, PUBLISH, "a", MISSING),
        (access(PUBLISH, 7, None, "a"), PUBLISH, "a", GRANTED),
    ],
)
def test_grant_is_found_in_access_control(control, operation, topic, expected):
    assert grant(control, operation, topic) == expected


VARIABLE = access(TO_CLOUD, "edgeml/{iot:thingName}/alerts")


@pytest.mark.parametrize(
    ("operation", "topic", "fault", "control", "words", "not_words"),
    [
        (PUBLISH, "a", UnauthorizedError(), access(PUBLISH, "b"), "add this resource to accessControl", "although"),
        (PUBLISH, "a", UnauthorizedError(), access(PUBLISH, "a"), "although accessControl of the component", "add"),
        (PUBLISH, "a", UnauthorizedError(), None, "check that accessControl", "add this resource"),
        (
            TO_CLOUD,
            "edgeml/t/alerts",
            UnauthorizedError(message="not allowed"),
            VARIABLE,
            "set interpolateComponentConfiguration",
            "add this",
        ),
        (TO_CLOUD, "edgeml/t/alerts", UnauthorizedError(), VARIABLE, "may not have read it yet", "interpolate"),
        (TO_CLOUD, "a", ServiceError(), None, "the device is offline", "restarting"),
        (PUBLISH, "a", ServiceError(), None, "a part of the nucleus does not answer", "offline"),
        ("aws.greengrass#SubscribeToConfigurationUpdate", "", ServiceError(), None, "on the configuration failed", "offline"),
        (PUBLISH, "a", TimeoutError(), None, "failed (TimeoutError)", "offline"),
    ],
)
def test_description_names_the_cause_and_no_other(operation, topic, fault, control, words, not_words):
    text = describe(operation, topic, fault, control)
    assert operation in text and words in text
    assert not_words not in text


def test_full_iot_core_buffer_is_not_taken_for_a_restart():
    failures = PublishFailures("cloud", 100.0, ServiceError)
    assert failures.stale_kinds(100.0 + RESTART_S / 2, echoed=False) == ()
    assert failures.stale_kinds(100.0 + RESTART_S, echoed=False) == ("cloud",)
    assert failures.stale_kinds(100.0 + 60 * RESTART_S, echoed=True) == ()  # its echo is better evidence
    assert PublishFailures("local", 100.0, ServiceError).stale_kinds(100.1, echoed=True) == ("local", "cloud", "configuration")


def test_denied_publish_is_retried_with_growing_delays_and_reported_once():
    failures = PublishFailures("cloud", 0.0, UnauthorizedError)
    now, waits = 0.0, []
    for number in range(14):
        assert failures.give_up(now) is (number == 0)
        waits.append(failures.next_attempt - now)
        now = failures.next_attempt
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == 900
    offline = PublishFailures("cloud", 0.0, ServiceError)
    offline.give_up(5.0)
    assert offline.next_attempt == 0.0
