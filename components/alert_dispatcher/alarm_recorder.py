"""Changes of alarms: to disk, and into the queue of alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from alert_dispatcher.alert_queue import AlertQueue
from alert_dispatcher.state_db import SavedPolicy, StateDb
from edgeml.alarms.alarm_policy import ACKNOWLEDGED, PENDING, AlarmPolicy, Change
from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import Acknowledge, topics
from edgeml.parsing.sanitize import visible


class AlarmGroup(Protocol):
    """The alarms of one kind: those of models, and those of health conditions."""

    def open_policies(self) -> Iterator[tuple[AlarmPolicy, str]]:
        """Policies that may have an open alarm, each with the version that its alerts name."""
        ...

    def sentence(self, change: Change) -> str:
        """The sentence for an operator about a change of one of this group's alarms."""
        ...


class AlarmRecorder:
    """Records the changes of a policy inside one transaction."""

    def __init__(self, store: StateDb, alerts: AlertQueue, wall_ns: Callable[[], int]) -> None:
        self._store, self._alerts, self._wall_ns = store, alerts, wall_ns

    def save(self, policy: AlarmPolicy, version: str) -> None:
        """Save the policy's state; for a policy whose changes are recorded in the same transaction."""
        self._store.save_policy(SavedPolicy(policy.asset, policy.model, version, policy.state))

    def record(self, change: Change, version: str, why: str) -> None:
        """Save the alarm, and queue the alert about it."""
        self._store.save_alarm(change.alarm)
        self._alerts.add(change, version, why, self._wall_ns())

    def record_all(self, policy: AlarmPolicy, version: str, changes: Iterable[Change], sentence: Callable[[Change], str]) -> None:
        """Save the policy and its changes, synced to the disk."""
        with self._store.transaction(durable=True):
            self.save(policy, version)
            for change in changes:
                self.record(change, version, sentence(change))


class AlarmUpdates:
    """Acknowledgements by people, and notes of actions, on open alarms."""

    def __init__(self, store: StateDb, recorder: AlarmRecorder, groups: Iterable[AlarmGroup], throttled_log: RateLimitedLog) -> None:
        self._store, self._recorder, self._groups, self._log = store, recorder, tuple(groups), throttled_log

    def acknowledge(self, message: Acknowledge) -> None:
        """Acknowledge an active alarm; anything else is logged."""
        by, note = visible(message.by), visible(message.note)
        if not self._update(lambda policy: policy.acknowledge(message.alarm, by, note)):
            self._log_why_not(message.alarm)

    def add_note(self, alarm_id: str, note: str) -> None:
        """Add a sentence to an open alarm, for its alerts from now on."""
        self._update(lambda policy: policy.annotate(alarm_id, note))

    def _update(self, change_policy: Callable[[AlarmPolicy], list[Change]]) -> bool:
        for group in self._groups:
            for policy, version in group.open_policies():
                changes = change_policy(policy)
                if changes:
                    self._recorder.record_all(policy, version, changes, group.sentence)
                    return True
        return False

    def _log_why_not(self, alarm_id: str) -> None:
        alarm, shown = self._store.alarm(alarm_id), repr(alarm_id[:80])
        if alarm is None:
            self._log.warning("acknowledgement of the unknown alarm %s is ignored; see %s for the ids", shown, topics.ALERTS)
        elif alarm.state == ACKNOWLEDGED:
            by = f" by {alarm.acknowledged_by}" if alarm.acknowledged_by else ""
            self._log.info("alarm %s is already acknowledged%s", shown, by)
        elif alarm.state == PENDING:
            self._log.warning("acknowledgement of alarm %s is ignored: it is pending; acknowledge it when it is active", shown)
        else:
            self._log.warning("acknowledgement of alarm %s is ignored: it is %s", shown, alarm.state)
