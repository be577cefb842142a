"""Publishes the status and the health of a component."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from edgeml.ipc.bus import IpcBus
from edgeml.messages import MAX_PAYLOAD, Health, Status, UnscoredAsset, encode, topics
from edgeml.parsing.sanitize import fit_all, fit_items, one_line
from edgeml.runtime.service import Metrics, UnscoredRows
from edgeml.timestamps import SECOND, to_iso

REPEAT_S = 10.0
"""Status and health are published at each change, and again after this long for subscribers that join later."""
MIN_INTERVAL_S = 1.0
"""Minimum time between two health messages."""
MAX_ASSETS = 20
ENVELOPE = 800
"""Bytes of a status or a health message without the parts named below: component, time, state, lag."""
STATUS_FAULTS, STATUS_FAULT = MAX_PAYLOAD - ENVELOPE, 600
"""Maximum bytes of all faults in a status, and of one."""
HEALTH_FAULTS, HEALTH_FAULT = 1200, 300
HEALTH_MAPS = (MAX_PAYLOAD - ENVELOPE - HEALTH_FAULTS) // 5
"""Maximum bytes of each map in a health message; `unscored` gets the rest."""
MAX_REASON_BYTES = 100
FORWARDED_BYTES = 130
"""Bytes by which a health message grows on its way to IoT Core."""


class StatusReporter:
    """Publishes `Status` and `Health` of one component.

    Attributes:
        drops: number of items dropped by the loop around the service, by reason.
    """

    def __init__(self, component: str, bus: IpcBus, monotonic: Callable[[], float], wall_ns: Callable[[], int]) -> None:
        self._component, self._bus, self._monotonic, self._wall_ns = component, bus, monotonic, wall_ns
        self._status: Status | None = None
        self._status_at = self._health_at = 0.0
        self._reported: object = None
        self.drops: Counter[str] = Counter()

    def report(self, status: Status, metrics: Metrics) -> None:
        """Publish status and health if they have changed or are due."""
        now = self._monotonic()
        component = one_line(status.component, 300)
        status = Status(component=component, state=status.state, faults=fit_all(status.faults, STATUS_FAULTS, STATUS_FAULT))
        if status != self._status or now - self._status_at >= REPEAT_S:
            self._status, self._status_at = status, now
            self._bus.publish(topics.STATUS, encode(status))
        drops = self.drops + Counter(metrics.drops)
        drops.update({f"inbox full: {topic}": count for topic, count in self._bus.queue.dropped.items()})
        if self._bus.verifier is not None:
            drops.update({f"refused: {reason}": count for reason, count in self._bus.verifier.refused.items()})
        report = status.state, status.faults, frozenset(drops)
        since = now - self._health_at
        if self._reported is None or since >= REPEAT_S or (report != self._reported and since >= MIN_INTERVAL_S):
            self._reported, self._health_at = report, now
            self._bus.publish(topics.HEALTH, self._encoded(status, metrics, drops))

    def _encoded(self, status: Status, metrics: Metrics, drops: Counter[str]) -> bytes:
        longest = sorted(metrics.row_age_s.items(), key=lambda item: -item[1])[:MAX_ASSETS]
        queues = {"inbox": (len(self._bus.queue), self._bus.queue.capacity), **metrics.queues}
        health = Health(
            component=status.component,
            at=to_iso(self._wall_ns()),
            state=status.state,
            faults=fit_all(status.faults, HEALTH_FAULTS, HEALTH_FAULT),
            lag_s=None if metrics.lag_s is None else round(metrics.lag_s, 3),
            queues=fit_items(queues, HEALTH_MAPS),
            message_age_s=fit_items(
                {topic: None if age is None else round(age, 1) for topic, age in self._bus.message_ages().items()}, HEALTH_MAPS
            ),
            row_age_s=fit_items({asset: round(age, 1) for asset, age in longest}, HEALTH_MAPS),
            drops=_fit_drops(drops),
        )
        return encode(self._with_unscored(health, metrics.unscored))

    def _with_unscored(self, health: Health, unscored: Mapping[str, UnscoredRows]) -> Health:
        """Add as many of the assets without decisions as fit, those with the longest time first."""
        if not unscored:
            return health
        now, wall_ns = self._monotonic(), self._wall_ns()
        room = MAX_PAYLOAD - FORWARDED_BYTES - len(encode(msgspec.structs.replace(health, unscored={}, unscored_more=len(unscored))))
        included: dict[str, UnscoredAsset] = {}
        for asset, one in sorted(unscored.items(), key=lambda item: item[1].since):
            for_s = max(0.0, now - one.since)
            entry = UnscoredAsset(
                reason=one_line(one.reason, MAX_REASON_BYTES),
                since=to_iso(wall_ns - round(for_s * SECOND)),
                for_s=round(for_s, 1),
                rows=one.rows,
                share=round(one.share, 3),
            )
            room -= len(msgspec.json.encode({asset: entry})) - 1  # without its braces, with a comma
            if room < 0:
                break
            included[asset] = entry
        return msgspec.structs.replace(health, unscored=included, unscored_more=len(unscored) - len(included))


def _fit_drops(drops: Counter[str]) -> dict[str, int]:
    """Keep the most frequent reasons; count the others together, as `other`."""
    kept = fit_items(dict(drops.most_common()), HEALTH_MAPS - 50)
    rest = drops.total() - sum(kept.values())
    return kept | {"other": rest} if rest else kept
