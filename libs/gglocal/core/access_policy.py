"""Authorization by `accessControl`, evaluated as the profile's nucleus evaluates it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gglocal.core.config_store import ConfigStore, KeyNotFound
from gglocal.recipe.access_control import policy_error, well_formed
from gglocal.recipe.variables import pointer_path

log = logging.getLogger("gglocal.core.access_policy")

MQTT_PROXY = "aws.greengrass.ipc.mqttproxy"
"""The service of the IoT Core operations: its resources may contain MQTT wildcards."""


@dataclass(frozen=True)
class VariableScope:
    """Values of the recipe variables in a policy's resource."""

    component: str
    version: str
    thing_name: str
    root_path: str
    config: ConfigStore


def allows(lite: bool, access_control: Any, service: str, operation: str, resource: str, scope: VariableScope) -> bool:
    """Whether any policy allows the component to perform an operation on a resource.

    A malformed policy grants nothing. Lite ignores the policies after one that is not a map, and grants nothing on a resource
    that contains `?` or an unknown escape. On classic, one malformed policy voids the component's `accessControl`, and recipe
    variables in a resource are plain text unless the configuration has been interpolated.

    Args:
        operation: the full name, as `aws.greengrass#PublishToTopic`.
        resource: a topic or a topic filter.
    """
    if lite and not well_formed(resource):
        return False
    matches_wildcards = _matches_lite if lite else _matches_classic
    for policy in _policies(lite, access_control, service):
        if operation not in policy["operations"] and "*" not in policy["operations"]:
            continue
        for pattern in _interpolated(policy["resources"], scope) if lite else policy["resources"]:
            if not lite and not well_formed(pattern):
                continue
            if pattern == "*" or _glob(pattern).fullmatch(resource):
                return True
            if service == MQTT_PROXY and matches_wildcards(resource, pattern):
                return True
    return False


def _policies(lite: bool, access_control: Any, service: str) -> Iterator[dict[str, list[str]]]:
    """The policies of a service that the nucleus takes into account."""
    if not isinstance(access_control, dict):
        return
    checked = {service: access_control.get(service)} if lite else access_control
    accepted: list[dict[str, list[str]]] = []
    for name, policies in checked.items():
        for policy in policies.values() if isinstance(policies, dict) else ():
            malformed = bool(policy_error(policy))
            if not malformed and name == service:
                accepted.append(policy)
            if malformed and not lite:
                return
            if not isinstance(policy, dict):
                yield from accepted
                return
    yield from accepted


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    pieces = re.findall(r"\$\{[^}]*\}?|\*|[^*$]+|\$", pattern, re.DOTALL)
    return re.compile("".join(".*" if piece == "*" else re.escape(_literal(piece)) for piece in pieces), re.DOTALL)


def _literal(piece: str) -> str:
    return piece[2:].removesuffix("}") if piece.startswith("${") else piece


def _matches_lite(resource: str, pattern: str) -> bool:
    """Match the MQTT wildcards of a policy against topics and filters alike: `a/+/b` matches `a/#`."""
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


def _matches_classic(resource: str, pattern: str) -> bool:
    """Match as classic: `+` is one level, a final `/#` is the rest including the parent level, and `*` remains a wildcard."""
    head, rest = (pattern[:-2], "(/.*)?") if pattern.endswith("/#") else (pattern, "")
    levels = (r"[^/]*" if level == "+" else _glob(level).pattern for level in head.split("/"))
    return pattern == "#" or re.fullmatch("/".join(levels) + rest, resource, re.DOTALL) is not None


def _interpolated(resources: list[str], scope: VariableScope) -> Iterator[str]:
    for resource in resources:
        try:
            yield re.sub(r"(?<!\$)\{([^}]*)(\}?)", lambda found: _variable(found, scope), resource)
        except LookupError:
            log.debug("%s: resource %r grants nothing: unknown variable", scope.component, resource)


def _variable(found: re.Match[str], scope: VariableScope) -> str:
    name, closed = found.groups()
    space, _, key = name.partition(":")
    packages = f"{scope.component}/{scope.version}/"
    known = {
        "iot:thingName": scope.thing_name,
        "kernel:rootPath": scope.root_path,
        "work:path": f"{scope.root_path}/work/{scope.component}/",
        "artifacts:path": f"{scope.root_path}/packages/artifacts/{packages}",
        "artifacts:decompressedPath": f"{scope.root_path}/packages/artifacts-unarchived/{packages}",
    }
    if not closed:
        raise LookupError(name)
    if space == "configuration":
        try:
            value = scope.config.get(scope.component, pointer_path(key))
        except KeyNotFound:
            raise LookupError(name) from None
        return value if isinstance(value, str) else json.dumps(value)
    return known[name]
