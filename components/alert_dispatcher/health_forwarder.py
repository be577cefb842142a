"""The components' health for IoT Core, downsampled."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edgeml.messages import Health, encode_json

MAX_COMPONENTS = 200
"""Components whose health is forwarded."""


class HealthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports of the components' health go to IoT Core."""

    enabled: Annotated[bool, Meta(description="whether it is sent")] = True
    interval_s: Annotated[float, Meta(ge=0, description="s of the clock between two messages about a component in the same state")] = 300.0


class HealthForwarder:
    """Chooses the reports to forward: of each component one in `interval_s`, and each change of state."""

    def __init__(self, options: HealthOptions) -> None:
        self._options = options
        self._last: dict[str, tuple[str, float]] = {}

    def take(self, health: Health, now: float) -> bytes | None:
        """The message to send, or None."""
        state, at = self._last.get(health.component, ("", 0.0))
        known = health.component in self._last
        due = not known or state != health.state or now - at >= self._options.interval_s
        if not self._options.enabled or not due or (not known and len(self._last) >= MAX_COMPONENTS):
            return None
        self._last[health.component] = health.state, now
        return encode_json(health)
