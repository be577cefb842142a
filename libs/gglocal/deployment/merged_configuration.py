"""What a deployment makes of the components' configurations, on a store that may be a copy."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from gglocal.core.config_store import ConfigConflict, ConfigStore, KeyNotFound
from gglocal.errors import DeploymentError
from gglocal.process.component import Unit
from gglocal.profile import Profile
from gglocal.recipe.variables import filled_in, pointer_path

log = logging.getLogger("gglocal")

NUCLEUS, INTERPOLATE = "aws.greengrass.Nucleus", "interpolateComponentConfiguration"
"""The option of the classic nucleus that has recipe variables in configurations filled in."""


def that_count(
    updates: Mapping[str, Any],
    roots: Mapping[str, str],
    units: Mapping[str, Unit],
    profile: Profile,
) -> dict[str, Any]:
    """The configuration updates that a nucleus looks at; the classic one ignores those for components that are not roots.

    Raises:
        DeploymentError: one is for a component that is not deployed, where the nucleus minds.
    """
    if not profile.configures_roots_only:
        strangers = set(updates) - units.keys() - roots.keys()
        if strangers:
            raise DeploymentError(f"the configuration names {', '.join(sorted(strangers))}, which is not deployed")
        return dict(updates)
    for name in [name for name in updates if name not in roots]:
        log.warning(
            "the configuration of %s is ignored, as on the classic nucleus: no deployment names this component itself; "
            "name it with --merge %s=VERSION",
            name,
            name,
        )
    return {name: update for name, update in updates.items() if name in roots}


def configure(config: ConfigStore, units: Mapping[str, Unit], updates: Mapping[str, Any], profile: Profile) -> None:
    """As a device: the recipe's defaults give way to what was set before, then reset, then merge.

    Raises:
        DeploymentError: an update does not merge; what was written before that stays.
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
        except ConfigConflict as fault:
            raise DeploymentError(f"{name}: the configuration does not merge: {fault}; reset that key first") from None
    if not profile.fills_in_policies and _is_true(_option(config)):
        for name, unit in units.items():
            config.merge(name, filled_in(config.get(name), unit.scope), now)


def _option(config: ConfigStore) -> Any:
    try:
        return config.get(NUCLEUS, [INTERPOLATE])
    except KeyNotFound:
        return None


def _is_true(value: Any) -> bool:
    """As the classic nucleus reads a flag."""
    return value in ("true", "yes", "on", "t", "y", "Y") if isinstance(value, str) else bool(value)
