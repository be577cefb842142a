"""Applies a deployment's configuration updates to a configuration store, which may be a copy."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from gglocal.core.config_store import ConfigConflict, ConfigStore, KeyNotFound
from gglocal.errors import DeploymentError
from gglocal.process.component import Unit
from gglocal.profile import Profile
from gglocal.recipe.variables import interpolate_configuration, pointer_path

log = logging.getLogger("gglocal")

NUCLEUS, INTERPOLATE = "aws.greengrass.Nucleus", "interpolateComponentConfiguration"
"""The classic nucleus's option that enables recipe variables in configurations."""


def effective_updates(
    updates: Mapping[str, Any],
    roots: Mapping[str, str],
    units: Mapping[str, Unit],
    profile: Profile,
) -> dict[str, Any]:
    """The configuration updates that the nucleus applies; the classic one ignores updates for mere dependencies.

    Raises:
        DeploymentError: an update is for a component that is not deployed, and the nucleus is not the classic one.
    """
    if not profile.configures_roots_only:
        unknown = set(updates) - units.keys() - roots.keys()
        if unknown:
            raise DeploymentError(f"configuration updates for components that are not deployed: {', '.join(sorted(unknown))}")
        return dict(updates)
    for name in [name for name in updates if name not in roots]:
        log.warning(
            "configuration of %s ignored, as on the classic nucleus: the component is only a dependency; name it with --merge %s=VERSION",
            name,
            name,
        )
    return {name: update for name, update in updates.items() if name in roots}


def configure(config: ConfigStore, units: Mapping[str, Unit], updates: Mapping[str, Any], profile: Profile) -> None:
    """Apply the recipes' defaults below existing values, then `reset`, then `merge`, as a device does.

    Raises:
        DeploymentError: an update cannot be merged; earlier updates remain applied.
    """
    now = int(time.time() * 1000)
    for name in (*units, *(name for name in updates if name not in units)):
        defaults, update = units[name].recipe.default_configuration if name in units else {}, updates.get(name, {})
        config.set_default(name, defaults, keep_old=profile.keeps_old_defaults)
        for pointer in update.get("reset", ()):
            config.reset(name, pointer_path(pointer))
        config.set_default(name, defaults, keep_old=profile.keeps_old_defaults)
        try:
            config.merge(name, update.get("merge", {}), now)
        except ConfigConflict as error:
            raise DeploymentError(f"{name}: the configuration cannot be merged: {error}; reset that key first") from None
    if not profile.interpolates_policies and _is_true(_option(config)):
        for name, unit in units.items():
            config.merge(name, interpolate_configuration(config.get(name), unit.scope), now)


def _option(config: ConfigStore) -> Any:
    try:
        return config.get(NUCLEUS, [INTERPOLATE])
    except KeyNotFound:
        return None


def _is_true(value: Any) -> bool:
    """Whether the classic nucleus reads the value as true."""
    return value in ("true", "yes", "on", "t", "y", "Y") if isinstance(value, str) else bool(value)
