"""The deployment of a thing group as data, its changes, rollback and promotion. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

POLICIES = {
    "failureHandlingPolicy": "ROLLBACK",
    "componentUpdatePolicy": {"timeoutInSeconds": 60, "action": "NOTIFY_COMPONENTS"},
    "configurationValidationPolicy": {"timeoutInSeconds": 30},
}
"""The default policies, equal to those of the service."""


@dataclass(frozen=True)
class ComponentSpec:
    """One component of a deployment.

    Attributes:
        merge: merged into the device's configuration.
        reset: JSON pointers to reset to the recipe's defaults before the merge.
        run_with: `runWith` of CreateDeployment.
    """

    version: str
    merge: Mapping[str, Any] = field(default_factory=dict)
    reset: tuple[str, ...] = ()
    run_with: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeploymentSpec:
    """A whole deployment.

    Attributes:
        parts: specifications by component.
        job: `iotJobConfiguration`: rollout, abort, timeout.
        policies: `deploymentPolicies`.
    """

    parts: Mapping[str, ComponentSpec] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    policies: Mapping[str, Any] = field(default_factory=lambda: dict(POLICIES))

    @classmethod
    def of_service(cls, found: Mapping[str, Any]) -> DeploymentSpec:
        """From a response of GetDeployment."""
        parts = {}
        for name, each in (found.get("components") or {}).items():
            update = each.get("configurationUpdate") or {}
            parts[name] = ComponentSpec(
                each["componentVersion"],
                json.loads(update.get("merge") or "{}"),
                tuple(update.get("reset") or ()),
                each.get("runWith") or {},
            )
        return cls(parts, found.get("iotJobConfiguration") or {}, {**POLICIES, **(found.get("deploymentPolicies") or {})})

    def request(self, target: str, name: str) -> dict[str, Any]:
        """The parameters for CreateDeployment."""
        components: dict[str, Any] = {}
        for component, part in self.parts.items():
            update: dict[str, Any] = {}
            if part.merge:
                update["merge"] = json.dumps(part.merge, sort_keys=True)
            if part.reset:
                update["reset"] = list(part.reset)
            components[component] = {
                "componentVersion": part.version,
                **({"configurationUpdate": update} if update else {}),
                **({"runWith": dict(part.run_with)} if part.run_with else {}),
            }
        job = {"iotJobConfiguration": dict(self.job)} if self.job else {}
        return {
            "targetArn": target,
            "deploymentName": name,
            "components": components,
            "deploymentPolicies": dict(self.policies),
            **job,
        }

    def with_versions(self, versions: Mapping[str, str]) -> DeploymentSpec:
        """A copy with these versions; existing components keep their configuration."""
        parts = {name: replace(self.parts.get(name, ComponentSpec("")), version=version) for name, version in versions.items()}
        return replace(self, parts={**self.parts, **parts})

    def with_updates(self, updates: Mapping[str, Mapping[str, Any]]) -> DeploymentSpec:
        """A copy in which these configuration updates replace the previous ones of the named components."""
        parts = {
            name: replace(self.parts[name], merge=update.get("merge", {}), reset=tuple(update.get("reset", ())))
            for name, update in updates.items()
        }
        return replace(self, parts={**self.parts, **parts})

    def without(self, names: list[str]) -> DeploymentSpec:
        return replace(self, parts={name: part for name, part in self.parts.items() if name not in names})


def changes(before: DeploymentSpec | None, after: DeploymentSpec) -> list[str]:
    """The differences for people, one line each; empty if there are none."""
    old = before or DeploymentSpec(policies={})
    lines: list[str] = []
    for name in sorted(old.parts.keys() | after.parts.keys()):
        lines += _part(name, old.parts.get(name), after.parts.get(name))
    lines += _leaves_changed("rollout", old.job, after.job)
    lines += _leaves_changed("policy", old.policies, after.policies)
    return lines


def rollback_to(current: DeploymentSpec, earlier: DeploymentSpec) -> DeploymentSpec:
    """The earlier deployment, plus a reset of the keys merged since, because a merge cannot remove a key."""
    parts = {}
    for name, part in earlier.parts.items():
        replaced = current.parts.get(name)
        added = sorted(_pointers(replaced.merge) - _pointers(part.merge)) if replaced else []
        parts[name] = replace(part, reset=tuple(dict.fromkeys((*part.reset, *added))))
    return replace(earlier, parts=parts)


def promotion(canary: DeploymentSpec, group: DeploymentSpec | None) -> DeploymentSpec:
    """The canary's components in its exact versions; components that the group already has keep the group's configuration."""
    base = group or DeploymentSpec(policies=canary.policies)
    parts = {name: replace(base.parts[name], version=part.version) if name in base.parts else part for name, part in canary.parts.items()}
    return replace(base, parts=parts)


def effective_configuration(defaults: Mapping[str, Any], parts: list[ComponentSpec]) -> dict[str, Any]:
    """The configuration of a device after deployments with these specifications, in order, on top of a recipe's defaults.

    Changes by the component itself or by a local deployment are unknown here.
    """
    value: dict[str, Any] = json.loads(json.dumps(defaults))
    for part in parts:
        for pointer in part.reset:
            _reset(value, defaults, _path(pointer))
        _merge(value, part.merge)
    return value


def _part(name: str, old: ComponentSpec | None, new: ComponentSpec | None) -> list[str]:
    if new is None:
        return [f"- {name} {old.version if old else ''}"]
    if old is None:
        lines = [f"+ {name} {new.version}"]
    else:
        lines = [f"~ {name} {old.version} -> {new.version}"] if old.version != new.version else []
    details = _leaves_changed("merge", old.merge if old else {}, new.merge)
    old_reset = old.reset if old else ()
    details += [f"reset {pointer or 'everything'}" for pointer in new.reset if pointer not in old_reset]
    details += [f"reset {pointer or 'everything'}: removed" for pointer in old_reset if pointer not in new.reset]
    details += _leaves_changed("run with", old.run_with if old else {}, new.run_with)
    if details and not lines:
        lines = [f"~ {name} {new.version}"]
    return lines + [f"    {detail}" for detail in details]


def _leaves_changed(label: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            lines.append(f"{label} {key}: {json.dumps(before[key])} removed")
        elif key not in before:
            lines.append(f"{label} {key}: {json.dumps(after[key])}")
        elif before[key] != after[key]:
            lines.append(f"{label} {key}: {json.dumps(before[key])} -> {json.dumps(after[key])}")
    return lines


def _leaves(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and (value or not above):
        for key, item in value.items():
            yield from _leaves(item, f"{above}.{key}" if above else str(key))
    else:
        yield above, value


def _pointers(value: Any, above: str = "") -> set[str]:
    """The JSON pointers of all leaves."""
    if isinstance(value, Mapping):
        return {
            pointer
            for key, item in value.items()
            for pointer in _pointers(item, f"{above}/{str(key).replace('~', '~0').replace('/', '~1')}")
        }
    return {above}


def _path(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _reset(value: dict[str, Any], defaults: Any, path: list[str]) -> None:
    if not path:
        value.clear()
        value.update(json.loads(json.dumps(defaults)))
        return
    *above, last = path
    for key in above:
        value = value.get(key, {})
        defaults = defaults.get(key, {}) if isinstance(defaults, Mapping) else {}
        if not isinstance(value, dict):
            return
    value.pop(last, None)
    if isinstance(defaults, Mapping) and last in defaults:
        value[last] = json.loads(json.dumps(defaults[last]))


def _merge(value: dict[str, Any], merge: Mapping[str, Any]) -> None:
    for key, item in merge.items():
        if isinstance(item, Mapping) and isinstance(value.get(key), dict):
            _merge(value[key], item)
        else:
            value[key] = json.loads(json.dumps(item))
