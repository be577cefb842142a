"""The expected results and alerts, computed from the recorded rows by the pure `AssetScorer` and `AlarmPolicy`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgeml.alarms.alarm_policy import Alarm, AlarmPolicy, PolicyOptions
from edgeml.model.baseline import Baseline
from edgeml.model.bundle import Bundle, match_channels
from edgeml.model.runtime import open_engine
from edgeml.model.scorer import AssetScorer
from edgeml.timestamps import SECOND
from edgeml_cli.verify.chaos.traffic_recorder import AlertKey, ObservedRows

Evaluated = tuple[int, float | None]
"""Event time in ns, and confidence (None: no decision)."""


def results(rows: ObservedRows, bundle: Bundle, baseline: Baseline | None) -> list[Evaluated]:
    """The results of an undisturbed Inference, one per row in order of time; without a baseline it learns one."""
    scorer = AssetScorer(bundle, open_engine(bundle), baseline)
    times = np.array(sorted(rows.rows), np.int64)
    if not len(times):
        return []
    order = match_channels(bundle, rows.channels, rows.units)
    values = np.stack([rows.rows[time][0] for time in times.tolist()])[:, order]
    quality = np.stack([rows.rows[time][1] for time in times.tolist()])[:, order]
    columns, _ = scorer.feed(times, values, quality)
    return [
        (time, None if reason else confidence)
        for time, confidence, reason in zip(times.tolist(), columns.confidence.tolist(), columns.reason.tolist(), strict=True)
    ]


def alerts(asset: str, model: str, evaluated: Sequence[Evaluated], options: PolicyOptions) -> dict[AlertKey, Alarm]:
    """The alarm changes that the policy derives from these results."""
    policy = AlarmPolicy(options, asset, model)
    return {
        (change.alarm.id, change.alarm.state): change.alarm
        for time, confidence in evaluated
        for change in policy.evaluate(time, confidence)
    }


def raised(changes: Iterable[Alarm]) -> dict[str, Alarm]:
    """The alarms that became active, in their final state, by id."""
    return {alarm.id: alarm for alarm in changes if alarm.raised_at is not None}


def missed(expected: dict[str, Alarm], observed: dict[str, Alarm], within_s: float) -> list[Alarm]:
    """The expected alarms without an observed alarm that was raised at about the same event time."""

    def near(one: Alarm, other: Alarm) -> bool:
        assert one.raised_at is not None and other.raised_at is not None
        return abs(one.raised_at - other.raised_at) <= within_s * SECOND

    return [alarm for alarm in expected.values() if alarm.id not in observed and not any(near(alarm, each) for each in observed.values())]
