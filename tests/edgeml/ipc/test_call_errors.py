"""A sentence on a call that failed says no more than is known."""

from __future__ import annotations

import pytest
from awsiot.greengrasscoreipc.model import ServiceError, UnauthorizedError

from edgeml.ipc.call_errors import BY_VARIABLE, MISSING, NAMED, sentence, standing
from edgeml.ipc.publish_failures import RESTART_S, PublishFailures

PUBLISH, TO_CLOUD = "aws.greengrass#PublishToTopic", "aws.greengrass#PublishToIoTCore"


def access(operation: str, *resources: object, other: bool = False) -> dict:
    """The service's policies; `other`: those of the other service."""
    service = "mqttproxy" if (operation == TO_CLOUD) is not other else "pubsub"
    return {f"aws.greengrass.ipc.{service}": {"one": {"operations": [operation], "resources": list(resources)}}}


@pytest.mark.parametrize(
    ("control", "operation", "topic", "expected"),
    [
        (access(PUBLISH, "a/b"), PUBLISH, "a/b", NAMED),
        (access("*", "a/b"), PUBLISH, "a/b", NAMED),
        (access(PUBLISH, "a/*"), PUBLISH, "a/b/c", NAMED),
        (access(PUBLISH, "*"), PUBLISH, "a/b", NAMED),
        (access(PUBLISH, "a/b"), PUBLISH, "a/c", MISSING),
        (access(TO_CLOUD, "a/b"), PUBLISH, "a/b", MISSING),
        (access("*", "*"), TO_CLOUD, "a/b", MISSING),  # of pub/sub alone
        (access(PUBLISH, "a/b", other=True), PUBLISH, "a/b", MISSING),
        (access(PUBLISH, "a/#"), PUBLISH, "a/b", MISSING),  # literal there for local topics
        (access(TO_CLOUD, "a/#"), TO_CLOUD, "a/b/c", NAMED),
        (access(TO_CLOUD, "a/+/c"), TO_CLOUD, "a/b/c", NAMED),
        (access(TO_CLOUD, "a/{iot:thingName}/c"), TO_CLOUD, "a/thing-1/c", BY_VARIABLE),
        (access(TO_CLOUD, "a/{iot:thingName}/d", "a/thing-1/c"), TO_CLOUD, "a/thing-1/c", NAMED),
        (access(TO_CLOUD, "a/{iot:thingName}/c"), TO_CLOUD, "a/thing/1/c", MISSING),
        ({}, PUBLISH, "a/b", MISSING),
        ("x", PUBLISH, "a/b", MISSING),
        ({"aws.greengrass.ipc.pubsub": {"p": 2, "q": {"operations": 3}}}, PUBLISH, "a", MISSING),
        ({"aws.greengrass.ipc.pubsub": 1}, PUBLISH, "a", MISSING),
        (access(PUBLISH, 7, None, "a"), PUBLISH, "a", NAMED),
    ],
)
def test_what_access_control_says_of_a_topic(control, operation, topic, expected):
    assert standing(control, operation, topic) == expected


VARIABLE = access(TO_CLOUD, "edgeml/{iot:thingName}/alerts")


@pytest.mark.parametrize(
    ("operation", "topic", "fault", "control", "words", "not_words"),
    [
        (PUBLISH, "a", UnauthorizedError(), access(PUBLISH, "b"), "add this resource to accessControl", "although"),
        (PUBLISH, "a", UnauthorizedError(), access(PUBLISH, "a"), "although accessControl of the component", "add"),
        (PUBLISH, "a", UnauthorizedError(), None, "look whether accessControl", "add this resource"),
        (
            TO_CLOUD,
            "edgeml/t/alerts",
            UnauthorizedError(message="not allowed"),
            VARIABLE,
            "set interpolateComponentConfiguration",
            "add this",
        ),
        (TO_CLOUD, "edgeml/t/alerts", UnauthorizedError(), VARIABLE, "may not have read it yet", "interpolate"),
        (TO_CLOUD, "a", ServiceError(), None, "the device is offline", "restarts"),
        (PUBLISH, "a", ServiceError(), None, "a part of the nucleus does not answer", "offline"),
        ("aws.greengrass#SubscribeToConfigurationUpdate", "", ServiceError(), None, "on the configuration failed", "offline"),
        (PUBLISH, "a", TimeoutError(), None, "failed (TimeoutError)", "offline"),
    ],
)
def test_the_sentence_names_the_cause_and_no_other(operation, topic, fault, control, words, not_words):
    told = sentence(operation, topic, fault, control)
    assert operation in told and words in told
    assert not_words not in told


def test_a_full_buffer_of_iot_core_is_no_restart():
    trouble = PublishFailures("cloud", 100.0, ServiceError)
    assert trouble.stale(100.0 + RESTART_S / 2, echoed=False) == ()
    assert trouble.stale(100.0 + RESTART_S, echoed=False) == ("cloud",)
    assert trouble.stale(100.0 + 60 * RESTART_S, echoed=True) == ()  # its echo says more
    assert PublishFailures("local", 100.0, ServiceError).stale(100.1, echoed=True) == ("local", "cloud", "configuration")


def test_what_iot_core_refuses_is_tried_ever_more_seldom_and_news_once():
    trouble = PublishFailures("cloud", 0.0, UnauthorizedError)
    now, waits = 0.0, []
    for number in range(14):
        assert trouble.give_up(now) is (number == 0)
        waits.append(trouble.due - now)
        now = trouble.due
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == 900
    offline = PublishFailures("cloud", 0.0, ServiceError)
    offline.give_up(5.0)
    assert offline.due == 0.0
