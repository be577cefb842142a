"""How a component is: what its service measures (`Metrics`), and when that is said (`StatusReporter`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from edgeml.ipc.bus import IpcBus
from edgeml.messages import MAX_PAYLOAD, Health, NotJudged, Status, encode, topics
from edgeml.parsing.sanitize import fit_all, fit_items, one_line
from edgeml.timestamps import SECOND, to_iso

SAID_S = 10.0
"""Status and health are published at each change, and again after this long for who listens later."""
CHANGE_S = 1.0
"""Changes of health are published at most so often."""
MOST_QUIET = 20
ENVELOPE = 800
"""Bytes of a status or a health beside what is named below: component, time, state, lag."""
STATUS_FAULTS, STATUS_FAULT = MAX_PAYLOAD - ENVELOPE, 600
"""Bytes of all faults in a status, and of one."""
HEALTH_FAULTS, HEALTH_FAULT = 1200, 300
HEALTH_MAPS = (MAX_PAYLOAD - ENVELOPE - HEALTH_FAULTS) // 5
"""Bytes of each map in a health; `not_judged` has what the others leave."""
LONGEST_REASON = 100
"""Bytes."""
FORWARDED = 130
"""Bytes by which a health grows on its way to IoT Core."""


class UnscoredRows(NamedTuple):
    """Most of an asset's latest rows have no decision.

    Attributes:
        reason: the most frequent one.
        since: monotonic time of the first of them.
        rows: rows without a decision since then.
        share: of the latest rows, 0 to 1.
    """

    reason: str
    since: float
    rows: int
    share: float


@dataclass(frozen=True)
class Metrics:
    """What a service says of its work; see `edgeml.messages.Health` for the fields. A queue whose `most` is 0 cannot overflow."""

    lag_s: float | None = None
    queues: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    quiet: Mapping[str, float] = field(default_factory=dict)
    drops: Mapping[str, int] = field(default_factory=dict)
    not_judged: Mapping[str, UnscoredRows] = field(default_factory=dict)


class StatusReporter:
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

    def report(self, status: Status, vitals: Metrics) -> None:
        """Publish what has changed or is due."""
        now = self._monotonic()
        component = one_line(status.component, 300)
        status = Status(component=component, state=status.state, faults=fit_all(status.faults, STATUS_FAULTS, STATUS_FAULT))
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

    def _encoded(self, status: Status, vitals: Metrics, drops: Counter[str]) -> bytes:
        longest = sorted(vitals.quiet.items(), key=lambda item: -item[1])[:MOST_QUIET]
        queues = {"inbox": (len(self._bus.inbox), self._bus.inbox.most), **vitals.queues}
        health = Health(
            component=status.component,
            at=to_iso(self._wall_ns()),
            state=status.state,
            faults=fit_all(status.faults, HEALTH_FAULTS, HEALTH_FAULT),
            lag_s=None if vitals.lag_s is None else round(vitals.lag_s, 3),
            queues=fit_items(queues, HEALTH_MAPS),
            heard=fit_items({topic: None if age is None else round(age, 1) for topic, age in self._bus.heard().items()}, HEALTH_MAPS),
            quiet=fit_items({asset: round(age, 1) for asset, age in longest}, HEALTH_MAPS),
            drops=_fit_drops(drops),
        )
        return encode(self._with_unjudged(health, vitals.not_judged))

    def _with_unjudged(self, health: Health, unjudged: Mapping[str, UnscoredRows]) -> Health:
        """With as many of the assets that are not judged as fit, those first that are not for the longest time."""
        if not unjudged:
            return health
        now, wall_ns = self._monotonic(), self._wall_ns()
        room = MAX_PAYLOAD - FORWARDED - len(encode(msgspec.structs.replace(health, not_judged={}, not_judged_more=len(unjudged))))
        told: dict[str, NotJudged] = {}
        for asset, one in sorted(unjudged.items(), key=lambda item: item[1].since):
            for_s = max(0.0, now - one.since)
            entry = NotJudged(
                reason=one_line(one.reason, LONGEST_REASON),
                since=to_iso(wall_ns - round(for_s * SECOND)),
                for_s=round(for_s, 1),
                rows=one.rows,
                share=round(one.share, 3),
            )
            room -= len(msgspec.json.encode({asset: entry})) - 1  # its braces go, and a comma comes
            if room < 0:
                break
            told[asset] = entry
        return msgspec.structs.replace(health, not_judged=told, not_judged_more=len(unjudged) - len(told))


def _fit_drops(drops: Counter[str]) -> dict[str, int]:
    """The most frequent reasons; the others are counted together, as `other`."""
    kept = fit_items(dict(drops.most_common()), HEALTH_MAPS - 50)
    rest = drops.total() - sum(kept.values())
    return kept | {"other": rest} if rest else kept
