"""`accessControl`: who may do what, judged as the profile's nucleus judges it.

Shape: `{service: {policy id: {"operations": [...], "resources": [...]}}}`, as in a recipe.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gglocal.core.config_store import ConfigStore, KeyNotFound
from gglocal.profile import MANAGEMENT_OPERATIONS
from gglocal.recipe.variables import BRACED, recipe_variable

log = logging.getLogger("gglocal.core.access_policy")

SERVICES: dict[str, str] = {
    "aws.greengrass#PublishToTopic": "aws.greengrass.ipc.pubsub",
    "aws.greengrass#SubscribeToTopic": "aws.greengrass.ipc.pubsub",
    "aws.greengrass#GetSecretValue": "aws.greengrass.SecretManager",
    "aws.greengrass#PublishToIoTCore": "aws.greengrass.ipc.mqttproxy",
    "aws.greengrass#SubscribeToIoTCore": "aws.greengrass.ipc.mqttproxy",
    **{f"aws.greengrass#{name}": "aws.greengrass.Cli" for name in MANAGEMENT_OPERATIONS},
}
MQTT_STYLE = "aws.greengrass.ipc.mqttproxy"


@dataclass(frozen=True)
class Place:
    """What the recipe variables in a policy's resource stand for."""

    component: str
    version: str
    thing_name: str
    root_path: str
    config: ConfigStore


def allows(lite: bool, access_control: Any, operation: str, resource: str, place: Place) -> bool:
    """Whether any policy lets the component do `operation` (full name) on `resource` (a topic or filter).

    A malformed policy grants nothing. Lite looks at no policy behind one that is no map, and grants nothing on a resource
    with a `?` or an escape that it does not know. On classic one malformed policy voids the component's `accessControl`, and
    recipe variables in a resource are plain text: who wants them filled in does so in the configuration.
    """
    service = SERVICES[operation]
    if lite and not well_formed(resource):
        return False
    under = _under if lite else _under_classic
    for policy in _policies(lite, access_control, service):
        if operation not in policy["operations"] and "*" not in policy["operations"]:
            continue
        for pattern in _filled_in(policy["resources"], place) if lite else policy["resources"]:
            if not lite and not well_formed(pattern):
                continue
            if pattern == "*" or _glob(pattern).fullmatch(resource):
                return True
            if service == MQTT_STYLE and under(resource, pattern):
                return True
    return False


def _policies(lite: bool, access_control: Any, service: str) -> Iterator[dict[str, list[str]]]:
    if not isinstance(access_control, dict):
        return
    checked = {service: access_control.get(service)} if lite else access_control
    good: list[dict[str, list[str]]] = []
    for name, policies in checked.items():
        for policy in policies.values() if isinstance(policies, dict) else ():
            fault = _fault(policy)
            if fault is None and name == service:
                good.append(policy)
            if fault is not None and not lite:
                return
            if not isinstance(policy, dict):
                yield from good
                return
    yield from good


def _fault(policy: Any) -> str | None:
    if not isinstance(policy, dict):
        return "it must be a map with operations and resources"
    for key in ("operations", "resources"):
        value = policy.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return f"it needs a list of strings named {key}"
    return None


def faults(access_control: Any) -> list[str]:
    """One sentence for each policy that grants nothing because it is malformed."""
    if access_control is None:
        return []
    if not isinstance(access_control, dict):
        return ["accessControl is no map, so it grants nothing"]
    found = []
    for service, policies in access_control.items():
        if not isinstance(policies, dict):
            found.append(f"accessControl of {service} is no map of policies, so it grants nothing")
            continue
        for policy_id, policy in policies.items():
            fault = _fault(policy)
            if fault is not None:
                found.append(f"policy {policy_id} of {service} grants nothing: {fault}")
    return found


def has_variables(access_control: Any) -> bool:
    """Whether a resource of any policy has a recipe variable in it."""
    return any(
        recipe_variable(braced) is not None
        for policies in (access_control.values() if isinstance(access_control, dict) else ())
        if isinstance(policies, dict)
        for policy in policies.values()
        if _fault(policy) is None
        for resource in policy["resources"]
        for braced in BRACED.findall(resource)
    )


def well_formed(resource: str) -> bool:
    """What Lite takes as a resource: no bare `?`; `${` only in `${*}`, `${?}` and `${$}`."""
    bare = re.sub(r"\$\{[*?$]\}", "", resource)
    return "?" not in bare and "${" not in bare


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    pieces = re.findall(r"\$\{[^}]*\}?|\*|[^*$]+|\$", pattern, re.DOTALL)
    return re.compile("".join(".*" if piece == "*" else re.escape(_literal(piece)) for piece in pieces), re.DOTALL)


def _literal(piece: str) -> str:
    return piece[2:].removesuffix("}") if piece.startswith("${") else piece


def _under(resource: str, pattern: str) -> bool:
    """MQTT wildcards in the policy, over topics and filters alike: `a/+/b` is under `a/#`."""
    at = 0
    for char in pattern:
        if char == "#":
            return True
        if char == "+":
            end = resource.find("/", at)
            at = len(resource) if end < 0 else end
        elif resource[at : at + 1] != char:
            return False
        else:
            at += 1
    return at == len(resource)


def _under_classic(resource: str, pattern: str) -> bool:
    """As classic: `+` is one level, a last `/#` is the rest with the level above; `*` in the pattern stays a wildcard."""
    head, rest = (pattern[:-2], "(/.*)?") if pattern.endswith("/#") else (pattern, "")
    levels = (r"[^/]*" if level == "+" else _glob(level).pattern for level in head.split("/"))
    return pattern == "#" or re.fullmatch("/".join(levels) + rest, resource, re.DOTALL) is not None


def _filled_in(resources: list[str], place: Place) -> Iterator[str]:
    for resource in resources:
        try:
            yield re.sub(r"(?<!\$)\{([^}]*)(\}?)", lambda found: _variable(found, place), resource)
        except LookupError:
            log.debug("%s: the variable in the resource %r is unknown; it grants nothing", place.component, resource)


def _variable(found: re.Match[str], place: Place) -> str:
    name, closed = found.groups()
    space, _, key = name.partition(":")
    packages = f"{place.component}/{place.version}/"
    known = {
        "iot:thingName": place.thing_name,
        "kernel:rootPath": place.root_path,
        "work:path": f"{place.root_path}/work/{place.component}/",
        "artifacts:path": f"{place.root_path}/packages/artifacts/{packages}",
        "artifacts:decompressedPath": f"{place.root_path}/packages/artifacts-unarchived/{packages}",
    }
    if not closed:
        raise LookupError(name)
    if space == "configuration":
        path = [part.replace("~1", "/").replace("~0", "~") for part in key.split("/")[1:]]
        try:
            value = place.config.get(place.component, path)
        except KeyNotFound:
            raise LookupError(name) from None
        return value if isinstance(value, str) else json.dumps(value)
    return known[name]
