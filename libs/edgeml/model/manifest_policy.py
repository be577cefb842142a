"""The alarm policy of a model."""

from __future__ import annotations

import msgspec

from edgeml.alarms.alarm_policy import PolicyOptions
from edgeml.config.schema import read
from edgeml.model.manifest import Manifest


def effective_policy(manifest: Manifest, where: str = "", over: PolicyOptions | None = None) -> PolicyOptions:
    """The options of the alarm policy for a model: those in its manifest over `over`, by default the defaults.

    Args:
        where: the key path of the options, for errors.

    Raises:
        OptionsError: an option is unknown or out of range.
    """
    return read(PolicyOptions, msgspec.to_builtins(over or PolicyOptions()) | manifest.policy, where)
