"""The cause of a failed call, in one sentence that asserts no more than is known. Pure.

Faults are distinguished by type, because Lite's have no text. For a denied resource the cause is looked up in `accessControl`.
"""

from __future__ import annotations

import re
from typing import Any

from awsiot.greengrasscoreipc import model

CLOUD = "IoTCore"
THING = "{iot:thingName}"
GRANTED, GRANTED_BY_VARIABLE, MISSING = "granted", "granted-by-variable", "missing"


def describe(operation: str, topic: str, fault: BaseException, access: Any = None) -> str:
    """Describe a failed call and its cause as far as it is known.

    Args:
        operation: its full name, such as `aws.greengrass#PublishToTopic`.
        topic: empty for the configuration.
        access: the component's `accessControl`; None: it cannot be read.
    """
    where = f"{operation} on {topic or 'the configuration'}"
    if isinstance(fault, model.UnauthorizedError):
        return f"UnauthorizedError: {where} is denied{_denial_cause(operation, topic, fault, access)}"
    if isinstance(fault, model.ServiceError):
        cause = "a part of the nucleus does not answer; it may be restarting"
        if CLOUD in operation:
            cause = "the device is offline, its IoT policy does not allow it, or IoT Core accepts no more messages for the moment"
        return f"ServiceError: {where} failed; {cause}"
    return f"{where} failed ({name(fault)})"


def _denial_cause(operation: str, topic: str, fault: model.UnauthorizedError, access: Any) -> str:
    if access is None:
        return "; check that accessControl of the component's configuration, which cannot be read now, has this resource"
    found = grant(access, operation, topic)
    if found == MISSING:
        return "; add this resource to accessControl of the component's configuration"
    # Lite replaces the variable, and its errors have no text.
    if found == GRANTED_BY_VARIABLE and fault.message:
        return (
            f" although accessControl grants it with {THING}: this nucleus does not replace the variable; set "
            "interpolateComponentConfiguration "
            "of aws.greengrass.Nucleus to true, or name the topic"
        )
    return " although accessControl of the component's configuration has this resource; the nucleus may not have read it yet"


def grant(access: Any, operation: str, topic: str) -> str:
    """Whether a policy grants this operation and topic: `GRANTED`, `GRANTED_BY_VARIABLE` (by the thing name as a
    variable only) or `MISSING`."""
    found = MISSING
    service = "aws.greengrass.ipc.mqttproxy" if CLOUD in operation else "aws.greengrass.ipc.pubsub"
    policies = access.get(service) if isinstance(access, dict) else None
    for policy in policies.values() if isinstance(policies, dict) else ():
        if not isinstance(policy, dict) or not any(each in ("*", operation) for each in _texts(policy.get("operations"))):
            continue
        for resource in _texts(policy.get("resources")):
            if _matches(resource, topic, operation):
                if THING not in resource:
                    return GRANTED
                found = GRANTED_BY_VARIABLE
    return found


def _matches(resource: str, topic: str, operation: str) -> bool:
    pattern = re.escape(resource).replace(re.escape(THING), "[^/]+").replace(r"\*", ".*")
    if CLOUD in operation:  # these support the wildcards of MQTT as well
        pattern = pattern.replace(r"\#", ".*").replace("#", ".*").replace(r"\+", "[^/]+")
    return re.fullmatch(pattern, topic, re.DOTALL) is not None


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def name(fault: BaseException) -> str:
    """Type and text of a fault; Lite's errors have no text."""
    text = str(fault)
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__
