"""How a component is: what its service measures (`Vitals`), and when that is said (`Reporter`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgeml import topics
from edgeml.bus import IpcBus
from edgeml.messages import MAX_PAYLOAD, Health, Status, encode
from edgeml.printable import cut
from edgeml.times import to_iso

SAID_S = 10.0
"""Status and health are published at each change, and again after this long for who listens later."""
CHANGE_S = 1.0
"""Changes of health are published at most so often."""
MOST_QUIET = 20
MOST_FAULTS, LONGEST_FAULT = 5, 200


@dataclass(frozen=True)
class Vitals:
    """What a service says of its work; see `edgeml.messages.Health` for the fields. A queue whose `most` is 0 cannot overflow."""

    lag_s: float | None = None
    queues: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    quiet: Mapping[str, float] = field(default_factory=dict)
    drops: Mapping[str, int] = field(default_factory=dict)


class Reporter:
    """Publishes `Status` and `Health` of one component.

    Attributes:
        drops: what the loop around the service dropped, by reason.
    """

    def __init__(self, component: str, bus: IpcBus, monotonic: Callable[[], float], wall_ns: Callable[[], int]) -> None:
        self._component, self._bus, self._monotonic, self._wall_ns = component, bus, monotonic, wall_ns
        self._status: Status | None = None
        self._status_at = self._health_at = 0.0
        self._told: object = None
        self.drops: Counter[str] = Counter()

    def report(self, status: Status, vitals: Vitals) -> None:
        """Publish what has changed or is due."""
        now = self._monotonic()
        if status != self._status or now - self._status_at >= SAID_S:
            self._status, self._status_at = status, now
            self._bus.publish(topics.STATUS, encode(status))
        drops = self.drops + Counter(vitals.drops)
        drops.update({f"inbox full: {topic}": count for topic, count in self._bus.inbox.dropped.items()})
        if self._bus.guard is not None:
            drops.update({f"refused: {reason}": count for reason, count in self._bus.guard.refused.items()})
        told = status.state, status.faults, frozenset(drops)
        since = now - self._health_at
        if self._told is None or since >= SAID_S or (told != self._told and since >= CHANGE_S):
            self._told, self._health_at = told, now
            self._bus.publish(topics.HEALTH, self._encoded(status, vitals, drops))

    def _encoded(self, status: Status, vitals: Vitals, drops: Counter[str]) -> bytes:
        longest = sorted(vitals.quiet.items(), key=lambda item: -item[1])[:MOST_QUIET]
        health = Health(
            component=self._component, at=to_iso(self._wall_ns()), state=status.state,
            faults=tuple(cut(fault, LONGEST_FAULT) for fault in status.faults[:MOST_FAULTS]),
            lag_s=None if vitals.lag_s is None else round(vitals.lag_s, 3),
            queues={"inbox": (len(self._bus.inbox), self._bus.inbox.most), **vitals.queues},
            heard={topic: None if age is None else round(age, 1) for topic, age in self._bus.heard().items()},
            quiet={asset: round(age, 1) for asset, age in longest}, drops=dict(drops),
        )
        payload = encode(health)
        if len(payload) <= MAX_PAYLOAD:
            return payload
        # Long names of many things: what alarms are made of matters more than the sentences, which stand in the status too.
        return encode(Health(component=health.component, at=health.at, state=health.state, heard=health.heard, drops={"": drops.total()}))
