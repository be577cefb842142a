"""Status and health reports of components."""

from __future__ import annotations

import msgspec

from edgeml.messages.message import Message, Name


class Status(Message, frozen=True, kw_only=True, tag="status"):
    """The state of a component, published at each change.

    Attributes:
        component: its full name.
        state: `running`; `faulty` while it waits for a valid configuration; `finished` when its sources have ended.
        faults: one sentence each.
    """

    component: Name
    state: Name
    faults: tuple[str, ...] = ()


class UnscoredAsset(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why one asset has no decisions.

    Attributes:
        reason: the most frequent reason for no decision, cut to 100 bytes.
        since: wall-clock time of the first row without a decision, ISO 8601.
        for_s: time since then in seconds of the monotonic clock.
        rows: rows without a decision since then.
        share: of the latest rows, 0.5 to 1.
    """

    reason: str
    since: str
    for_s: float
    rows: int
    share: float = 1.0


class Health(Message, frozen=True, kw_only=True, tag="health"):
    """The health of a component, published periodically.

    Attributes:
        component: its full name.
        at: wall-clock time, ISO 8601.
        state, faults: as in `Status`.
        lag_s: age, by event time, of the newest row handled, at the time it was handled; null before the first.
        queues: name of each queue -> [length, capacity].
        message_age_s: subscribed topic -> seconds since the last message; null before the first.
        row_age_s: asset -> seconds since a row was read; the longest ones only, without assets whose source has ended.
        drops: reason -> number of items dropped since the process started.
        unscored: asset -> why most of its latest rows had no decision. The assets without a decision for the longest time come
            first, as many as fit. Rows of a machine that is stopped or settles, and rows from which a baseline is learned, do not count.
        unscored_more: number of further such assets.
    """

    component: Name
    at: str
    state: Name
    faults: tuple[str, ...] = ()
    lag_s: float | None = None
    queues: dict[str, tuple[int, int]] = {}
    message_age_s: dict[str, float | None] = {}
    row_age_s: dict[str, float] = {}
    drops: dict[str, int] = {}
    unscored: dict[str, UnscoredAsset] | msgspec.UnsetType = msgspec.UNSET
    unscored_more: int | msgspec.UnsetType = msgspec.UNSET
