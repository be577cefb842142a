"""What a thing group is to run, as data; what would change; what takes a change back. Pure."""

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
"""Of a deployment that says nothing else: those that the service takes as well."""


@dataclass(frozen=True)
class Part:
    """One component of a deployment.

    Attributes:
        merge: into the configuration that the device has.
        reset: JSON pointers, reset to the recipe's defaults before the merge.
        run_with: as CreateDeployment takes it.
    """

    version: str
    merge: Mapping[str, Any] = field(default_factory=dict)
    reset: tuple[str, ...] = ()
    run_with: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Desired:
    """A whole deployment.

    Attributes:
        parts: by component.
        job: the `iotJobConfiguration`: rollout, abort, timeout.
        policies: the `deploymentPolicies`.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    policies: Mapping[str, Any] = field(default_factory=lambda: dict(POLICIES))

    @classmethod
    def of_service(cls, found: Mapping[str, Any]) -> Desired:
        """From what GetDeployment says."""
        parts = {}
        for name, each in (found.get("components") or {}).items():
            update = each.get("configurationUpdate") or {}
            parts[name] = Part(
                each["componentVersion"],
                json.loads(update.get("merge") or "{}"),
                tuple(update.get("reset") or ()),
                each.get("runWith") or {},
            )
        return cls(parts, found.get("iotJobConfiguration") or {}, {**POLICIES, **(found.get("deploymentPolicies") or {})})

    def request(self, target: str, name: str) -> dict[str, Any]:
        """The parameters of CreateDeployment."""
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

    def with_versions(self, versions: Mapping[str, str]) -> Desired:
        """With these versions; a component that is there keeps its configuration."""
        parts = {name: replace(self.parts.get(name, Part("")), version=version) for name, version in versions.items()}
        return replace(self, parts={**self.parts, **parts})

    def with_updates(self, updates: Mapping[str, Mapping[str, Any]]) -> Desired:
        """With these configuration updates instead of those that the named components had."""
        parts = {
            name: replace(self.parts[name], merge=update.get("merge", {}), reset=tuple(update.get("reset", ())))
            for name, update in updates.items()
        }
        return replace(self, parts={**self.parts, **parts})

    def without(self, names: list[str]) -> Desired:
        return replace(self, parts={name: part for name, part in self.parts.items() if name not in names})


def changes(before: Desired | None, after: Desired) -> list[str]:
    """What a person is shown before it is done: a line for each difference; none: there is none."""
    old = before or Desired(policies={})
    lines: list[str] = []
    for name in sorted(old.parts.keys() | after.parts.keys()):
        lines += _part(name, old.parts.get(name), after.parts.get(name))
    lines += _leaves_changed("rollout", old.job, after.job)
    lines += _leaves_changed("policy", old.policies, after.policies)
    return lines


def undo(current: Desired, earlier: Desired) -> Desired:
    """The earlier deployment again. What was merged since and is not in it is reset: a merge alone cannot take a key back."""
    parts = {}
    for name, part in earlier.parts.items():
        since = current.parts.get(name)
        stray = sorted(_pointers(since.merge) - _pointers(part.merge)) if since else []
        parts[name] = replace(part, reset=tuple(dict.fromkeys((*part.reset, *stray))))
    return replace(earlier, parts=parts)


def promoted(canary: Desired, group: Desired | None) -> Desired:
    """The canary's components in its exact versions; a component that the group has keeps the group's configuration."""
    base = group or Desired(policies=canary.policies)
    parts = {name: replace(base.parts[name], version=part.version) if name in base.parts else part for name, part in canary.parts.items()}
    return replace(base, parts=parts)


def configured(defaults: Mapping[str, Any], parts: list[Part]) -> dict[str, Any]:
    """The configuration that a device has after deployments with these parts, in order, on top of a recipe's defaults.

    What the component itself, or a local deployment, changed is not known here.
    """
    value: dict[str, Any] = json.loads(json.dumps(defaults))
    for part in parts:
        for pointer in part.reset:
            _reset(value, defaults, _path(pointer))
        _merge(value, part.merge)
    return value


def _part(name: str, old: Part | None, new: Part | None) -> list[str]:
    if new is None:
        return [f"- {name} {old.version if old else ''}"]
    if old is None:
        lines = [f"+ {name} {new.version}"]
    else:
        lines = [f"~ {name} {old.version} -> {new.version}"] if old.version != new.version else []
    details = _leaves_changed("merge", old.merge if old else {}, new.merge)
    had = old.reset if old else ()
    details += [f"reset {pointer or 'everything'}" for pointer in new.reset if pointer not in had]
    details += [f"no more reset of {pointer or 'everything'}" for pointer in had if pointer not in new.reset]
    details += _leaves_changed("run with", old.run_with if old else {}, new.run_with)
    if details and not lines:
        lines = [f"~ {name} {new.version}"]
    return lines + [f"    {detail}" for detail in details]


def _leaves_changed(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            lines.append(f"{what} {key}: no more {json.dumps(before[key])}")
        elif key not in before:
            lines.append(f"{what} {key}: {json.dumps(after[key])}")
        elif before[key] != after[key]:
            lines.append(f"{what} {key}: {json.dumps(before[key])} -> {json.dumps(after[key])}")
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
