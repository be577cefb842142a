"""The shape of `accessControl`: `{service: {policy id: {"operations": [...], "resources": [...]}}}`, as in a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gglocal.recipe.variables import BRACED, recipe_variable

_ESCAPE = re.compile(r"\$\{[*?$]\}")


def policy_error(policy: Any) -> str:
    """Why this policy is malformed; empty: it is well-formed."""
    if not isinstance(policy, dict):
        return "it must be a map with operations and resources"
    for key in ("operations", "resources"):
        value = policy.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return f"it needs a list of strings named {key}"
    return ""


def policy_errors(access_control: Any) -> list[str]:
    """One sentence for each policy that grants nothing because it is malformed."""
    if access_control is None:
        return []
    if not isinstance(access_control, dict):
        return ["accessControl is not a map, so it grants nothing"]
    errors = []
    for service, policies in access_control.items():
        if not isinstance(policies, dict):
            errors.append(f"accessControl of {service} is not a map of policies, so it grants nothing")
            continue
        for policy_id, policy in policies.items():
            if error := policy_error(policy):
                errors.append(f"policy {policy_id} of {service} grants nothing: {error}")
    return errors


def operations(access_control: Any) -> Iterator[tuple[str, str]]:
    """(service, operation) of every policy, malformed ones included."""
    for service, policies in _items(access_control):
        for _, policy in _items(policies):
            yield from ((service, each) for each in _strings(policy, "operations"))


def resources(access_control: Any) -> Iterator[str]:
    """The resources of every policy, malformed ones included."""
    for _, policies in _items(access_control):
        for _, policy in _items(policies):
            yield from _strings(policy, "resources")


def unescaped(resource: str) -> str:
    """The resource without the escapes that Lite supports: `${*}`, `${?}` and `${$}`."""
    return _ESCAPE.sub("", resource)


def well_formed(resource: str) -> bool:
    """Whether Lite accepts a resource: no `?` and no `${` outside of these escapes."""
    plain = unescaped(resource)
    return "?" not in plain and "${" not in plain


def has_variables(access_control: Any) -> bool:
    """Whether a resource of any well-formed policy contains a recipe variable."""
    return any(
        recipe_variable(braced) is not None
        for _, policies in _items(access_control)
        for _, policy in _items(policies)
        if not policy_error(policy)
        for resource in policy["resources"]
        for braced in BRACED.findall(resource)
    )


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _strings(policy: Any, key: str) -> list[str]:
    value = policy.get(key) if isinstance(policy, dict) else None
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
