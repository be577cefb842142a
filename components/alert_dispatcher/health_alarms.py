"""Alarms about sensing itself, saved as those of models are."""

from __future__ import annotations

from collections.abc import Iterator

import edgeml
from alert_dispatcher.alarm_recorder import AlarmRecorder
from alert_dispatcher.health_forwarder import HealthForwarder
from alert_dispatcher.health_monitor import HealthMonitor
from alert_dispatcher.state_db import StateDb
from edgeml.alarms.alarm_policy import AlarmPolicy, Change
from edgeml.cloud.outbox import HEALTH
from edgeml.messages import Health, topics
from edgeml.runtime.service import ComponentContext

VERSION = edgeml.__version__
"""The `model_version` that alerts of health alarms name."""


class HealthAlarms:
    """Takes the components' health: conditions become alarms, and some reports go to IoT Core."""

    def __init__(
        self, context: ComponentContext, monitor: HealthMonitor, forwarder: HealthForwarder, store: StateDb, recorder: AlarmRecorder
    ) -> None:
        self._context, self._monitor, self._forwarder = context, monitor, forwarder
        self._store, self._recorder = store, recorder

    def open_policies(self) -> Iterator[tuple[AlarmPolicy, str]]:
        for policy in self._monitor.open.values():
            yield policy, VERSION

    def sentence(self, change: Change) -> str:
        return self._monitor.sentence(change.alarm)

    def take(self, health: Health) -> None:
        """Note a component's report, and queue it for IoT Core if it is due there."""
        now = self._context.monotonic()
        self._monitor.take(health, now)
        payload = self._forwarder.take(health, now)
        if payload is not None:
            self._store.outbox.put(HEALTH, topics.cloud_health(self._context.thing), payload, self._context.wall_ns())

    def tick(self, now: float) -> None:
        """Evaluate the conditions, and record the changes."""
        for policy, changes in self._monitor.tick(now):
            with self._store.transaction(durable=True):
                if policy.alarm is None:
                    self._store.delete_policy(policy.asset, policy.model)
                else:
                    self._recorder.save(policy, VERSION)
                for change in changes:
                    self._recorder.record(change, VERSION, self.sentence(change))
