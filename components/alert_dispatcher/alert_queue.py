"""The queue of alerts: on disk from the decision on, then to every action, then to the local topic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alert_dispatcher.actions import Action
from alert_dispatcher.actions.base import IDLE_S
from alert_dispatcher.alert_message import alert_json, numbered
from alert_dispatcher.state_db import PendingAlert, StateDb, StateDbError
from edgeml.alarms.alarm_policy import Change
from edgeml.ipc.bus import Bus
from edgeml.messages import topics
from edgeml.messages.sequencing import new_stream

RETRY_S = 1.0
"""Time until the publication of an alert that the nucleus refused is retried."""
MAX_PUBLISHED_AT_ONCE = 50
"""Alerts that one step publishes: after an outage of the broker thousands may wait, and a command must not wait for them."""


class AlertNumbering:
    """Stream and sequence numbers of this process; they outlive a reopened state."""

    def __init__(self) -> None:
        self._stream = new_stream()
        self._next: dict[str, int] = {}

    def publish(self, bus: Bus, pending: PendingAlert) -> bool:
        """Publish an alert under the next number of its asset; False if the nucleus refused it."""
        asset = pending.alert.asset
        seq = self._next.get(asset, 0)
        if not bus.publish(topics.ALERTS, numbered(pending.alert, pending.json, self._stream, seq)):
            return False
        self._next[asset] = seq + 1
        return True


class AlertQueue:
    """Alerts in the order of their decisions; none is dropped.

    Args:
        action_failed: called with the name of an action, its failure and the fault.

    Attributes:
        refused_count: alerts that wait because the nucleus refuses them.
    """

    def __init__(self, store: StateDb, bus: Bus, numbering: AlertNumbering, action_failed: Callable[[str, str, Exception], None]) -> None:
        self._store, self._bus, self._numbering, self._action_failed = store, bus, numbering, action_failed
        self._retry_at = 0.0
        # After a restart there may be some in the state.
        self._to_dispatch = self._to_publish = True
        self.refused_count = 0

    def add(self, change: Change, model_version: str, why: str, decided_ns: int) -> None:
        """Save the alert about a change, inside the caller's transaction."""
        self._store.add_alert(alert_json(change.alarm, change.at, model_version, why), change.at, decided_ns)
        self._to_dispatch = self._to_publish = True

    def dispatch(self, actions: Mapping[str, Action]) -> None:
        """Hand every new alert to every action, by its name. An action that fails does not get the alert again."""
        if not self._to_dispatch:
            return
        for pending in self._store.alerts_to_dispatch():
            with self._store.transaction():
                for name, action in actions.items():
                    try:
                        action.act(pending)
                    except StateDbError:
                        raise
                    except Exception as fault:
                        self._action_failed(name, f"failed on alarm {pending.alert.id}", fault)
                self._store.mark_dispatched(pending.no)
        self._to_dispatch = False

    def publish(self, now: float) -> float:
        """Publish some alerts; returns the seconds until more are due."""
        if not self._to_publish:
            return IDLE_S
        if now < self._retry_at:
            return self._retry_at - now
        for pending in self._store.alerts_to_publish(MAX_PUBLISHED_AT_ONCE):
            if not self._numbering.publish(self._bus, pending):
                self._retry_at, self.refused_count = now + RETRY_S, self._store.unpublished_count
                return RETRY_S
            self._store.delete_published(pending.no)
        self.refused_count = 0
        self._to_publish = self._store.unpublished_count > 0
        return 0.0 if self._to_publish else IDLE_S
