"""The components' health for IoT Core, thinned."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edgeml.messages import Health, encode_json

MOST = 200
"""Components that are told apart."""


class HealthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What of the components' health goes to IoT Core."""

    enabled: Annotated[bool, Meta(description="whether it is sent")] = True
    interval_s: Annotated[float, Meta(ge=0, description="s of the clock between two messages about a component in the same state")] = 300.0


class HealthForwarder:
    """Picks from what components say of themselves: one in `interval_s`, and each change of state."""

    def __init__(self, options: HealthOptions) -> None:
        self._options = options
        self._last: dict[str, tuple[str, float]] = {}

    def take(self, health: Health, now: float) -> bytes | None:
        """The message to send, if this one is worth it."""
        state, at = self._last.get(health.component, ("", 0.0))
        known = health.component in self._last
        due = not known or state != health.state or now - at >= self._options.interval_s
        if not self._options.enabled or not due or (not known and len(self._last) >= MOST):
            return None
        self._last[health.component] = health.state, now
        return encode_json(health)
