"""Why a call failed, in one sentence that says no more than is known. Pure.

Types tell faults apart, as Lite's have no text. Whether a refused resource is missing from `accessControl` is looked up there.
"""

from __future__ import annotations

import re
from typing import Any

from awsiot.greengrasscoreipc import model

CLOUD = "IoTCore"
THING = "{iot:thingName}"
NAMED, BY_VARIABLE, MISSING = "named", "by-variable", "missing"


def sentence(operation: str, topic: str, fault: BaseException, access: Any = None) -> str:
    """What failed, and the cause as far as it is known.

    Args:
        operation: its full name, as `aws.greengrass#PublishToTopic`.
        topic: empty for the configuration.
        access: the component's `accessControl`; None: it cannot be read.
    """
    where = f"{operation} on {topic or 'the configuration'}"
    if isinstance(fault, model.UnauthorizedError):
        return f"UnauthorizedError: {where} is refused{_why_refused(operation, topic, fault, access)}"
    if isinstance(fault, model.ServiceError):
        cause = "a part of the nucleus does not answer, as while it restarts"
        if CLOUD in operation:
            cause = "the device is offline, its IoT policy does not allow it, or IoT Core takes no more for the moment"
        return f"ServiceError: {where} failed; {cause}"
    return f"{where} failed ({name(fault)})"


def _why_refused(operation: str, topic: str, fault: model.UnauthorizedError, access: Any) -> str:
    if access is None:
        return "; look whether accessControl of the component's configuration, which cannot be read now, has this resource"
    found = standing(access, operation, topic)
    if found == MISSING:
        return "; add this resource to accessControl of the component's configuration"
    # Lite replaces the variable, and its errors have no text.
    if found == BY_VARIABLE and fault.message:
        return (
            f" although accessControl has it by {THING}: this nucleus does not replace the variable; set interpolateComponentConfiguration "
            "of aws.greengrass.Nucleus to true, or name the topic"
        )
    return " although accessControl of the component's configuration has this resource; the nucleus may not have read it yet"


def standing(access: Any, operation: str, topic: str) -> str:
    """`NAMED`: a policy has this operation and topic; `BY_VARIABLE`: only with the thing's name as a variable; else `MISSING`."""
    found = MISSING
    service = "aws.greengrass.ipc.mqttproxy" if CLOUD in operation else "aws.greengrass.ipc.pubsub"
    policies = access.get(service) if isinstance(access, dict) else None
    for policy in policies.values() if isinstance(policies, dict) else ():
        if not isinstance(policy, dict) or not any(each in ("*", operation) for each in _texts(policy.get("operations"))):
            continue
        for resource in _texts(policy.get("resources")):
            if _matches(resource, topic, operation):
                if THING not in resource:
                    return NAMED
                found = BY_VARIABLE
    return found


def _matches(resource: str, topic: str, operation: str) -> bool:
    pattern = re.escape(resource).replace(re.escape(THING), "[^/]+").replace(r"\*", ".*")
    if CLOUD in operation:  # these take the wildcards of MQTT as well
        pattern = pattern.replace(r"\#", ".*").replace("#", ".*").replace(r"\+", "[^/]+")
    return re.fullmatch(pattern, topic, re.DOTALL) is not None


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def name(fault: BaseException) -> str:
    """Type and text of a fault; Lite's errors have no text."""
    text = str(fault)
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__
