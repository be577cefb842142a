"""Evaluates the conditions of sensing by a policy like that of a model's results, so that their alarms have the same life. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from alert_dispatcher.health_conditions import (
    COMPONENT_SILENT,
    CONDITIONS,
    NOT_SCORED,
    PREFIX,
    HealthAlarmOptions,
    HealthSnapshot,
    LastReport,
    reporter_of,
)
from alert_dispatcher.state_db import SavedPolicy
from edgeml.alarms.alarm_policy import ACKNOWLEDGED, CLEARED, Alarm, AlarmPolicy, Change, PolicyOptions
from edgeml.messages import Health, topics
from edgeml.timestamps import SECOND

MAX_TRACKED = 200
"""Components, and open alarms; more are ignored."""
CHECK_INTERVAL_S = 1.0


class Evaluation(NamedTuple):
    """A policy whose alarm has changed."""

    policy: AlarmPolicy
    changes: list[Change]


class HealthMonitor:
    """Evaluates every condition once in `CHECK_INTERVAL_S`.

    Args:
        saved: the policies of open alarms, from the state.
        now, wall_ns: the clocks' times. Event times of these alarms begin at the wall clock's time and advance with the monotonic clock.

    Attributes:
        open: (subject, model) -> the policy of an alarm that is not cleared.
    """

    def __init__(self, options: HealthAlarmOptions, saved: Iterable[SavedPolicy], now: float, wall_ns: int) -> None:
        self._options, self._started, self._checked = options, now, now
        self._policy = PolicyOptions(
            raise_at=0.9, clear_at=0.1, votes=1, of=1, hold_s=options.hold_s, clear_hold_s=options.clear_hold_s, cooldown_s=0
        )
        self._reports: dict[str, LastReport] = {}
        self._never_received: dict[tuple[str, str], float] = {}
        self._sentences: dict[tuple[str, str], str] = {}
        self.open = {(one.asset, one.model): AlarmPolicy(self._policy, one.asset, one.model, one.state) for one in saved}
        self._start_ns = max([wall_ns, *(policy.evaluated_to + 1 for policy in self.open.values() if policy.evaluated_to is not None)])

    def take(self, health: Health, now: float) -> None:
        """Note a component's report."""
        if health.component not in self._reports and len(self._reports) >= MAX_TRACKED:
            return
        self._reports[health.component] = LastReport(health, now)
        for topic, age in health.message_age_s.items():
            if age is not None:
                self._never_received.pop((health.component, topic), None)
            elif topic in topics.STREAMS:
                self._never_received.setdefault((health.component, topic), now)

    def tick(self, now: float) -> list[Evaluation]:
        """Evaluate the conditions at the monotonic time `now`; returns the changes."""
        if now - self._checked < CHECK_INTERVAL_S:
            return []
        self._checked = now
        silent, unscored = (
            tuple(subject for subject, model in self.open if model == PREFIX + name) for name in (COMPONENT_SILENT, NOT_SCORED)
        )
        snapshot = HealthSnapshot(self._options, now, self._started, self._reports, self._never_received, silent, unscored)
        found = {
            (subject, PREFIX + name): sentence
            for name, condition in CONDITIONS.items()
            for subject, sentence in condition.evaluate(snapshot).items()
        }
        if now - self._started > self._options.start_s:
            # A living component no longer mentions the subject: the condition is over, or the asset or the queue was removed.
            found = {key: "" for key in self.open if snapshot.is_alive(reporter_of(*key))} | found
        evaluations = []
        for key, sentence in found.items():
            if key in self.open or (sentence and len(self.open) < MAX_TRACKED):
                evaluation = self._evaluate(key, sentence, self._start_ns + round((now - self._started) * SECOND))
                if evaluation is not None:
                    evaluations.append(evaluation)
        return evaluations

    def sentence(self, alarm: Alarm) -> str:
        """The sentence of a health alarm for an operator."""
        condition = alarm.model.removeprefix(PREFIX)
        if alarm.state == CLEARED:
            return f"{alarm.asset}: back to normal; {CONDITIONS[condition].cleared}"
        unknown = f"{alarm.asset}: {condition}, since before this component was restarted"
        sentence = self._sentences.get((alarm.asset, alarm.model), unknown)
        if alarm.state != ACKNOWLEDGED:
            return sentence
        return f"{sentence}; acknowledged{f' by {alarm.acknowledged_by}' if alarm.acknowledged_by else ''}"

    def _evaluate(self, key: tuple[str, str], sentence: str, at_ns: int) -> Evaluation | None:
        policy = self.open.get(key) or AlarmPolicy(self._policy, *key)
        if sentence:
            self._sentences[key] = sentence
        changes = policy.evaluate(at_ns, 1.0 if sentence else 0.0)
        self.open[key] = policy
        if policy.alarm is None:
            del self.open[key]
            self._sentences.pop(key, None)
        return Evaluation(policy, changes) if changes else None
