"""The component: routes messages, and runs its parts in order. Every decision is on disk before anything leaves."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from alert_dispatcher.actions import ACTIONS, Action, ActionContext
from alert_dispatcher.actions.base import ActionOptions
from alert_dispatcher.alarm_recorder import AlarmRecorder, AlarmUpdates
from alert_dispatcher.alert_queue import RETRY_S, AlertNumbering, AlertQueue
from alert_dispatcher.health_alarms import HealthAlarms
from alert_dispatcher.health_conditions import PREFIX
from alert_dispatcher.health_forwarder import HealthForwarder
from alert_dispatcher.health_monitor import HealthMonitor
from alert_dispatcher.model_alarms import ModelAlarms
from alert_dispatcher.model_policies import ModelPolicies
from alert_dispatcher.options import AlertDispatcherOptions
from alert_dispatcher.result_reporter import ResultReporter
from alert_dispatcher.state_db import SavedPolicy, StateDb, StateDbError
from edgeml.cloud.sender import CloudSender, queues
from edgeml.config.schema import read
from edgeml.errors import EdgemlError, MessageError
from edgeml.ipc.call_errors import name as describe
from edgeml.log_throttle import LogThrottle, RateLimitedLog
from edgeml.messages import Acknowledge, Health, KeepAlive, Message, ReplayStart, ResultBlock, Status, decode, topics
from edgeml.runtime.service import ComponentContext, Metrics

log = logging.getLogger(__name__)

STATE_FILE = "alarms.sqlite3"
RELOAD_S = 5.0
"""Time until the state is opened again after it could not be written; the results of that time come again by a replay."""


class AlertDispatcher:
    """The service that `edgeml.runtime.runner` runs.

    Raises:
        OptionsError: an action's options are wrong.
        StateDbError: the state cannot be opened.
    """

    timed = True

    def __init__(self, context: ComponentContext, options: AlertDispatcherOptions) -> None:
        self._context, self._options = context, options
        self._policies = ModelPolicies(options.policy, options.policy_by_model)
        self._throttled_log = RateLimitedLog(log, context.monotonic)
        self._action_faults = LogThrottle(context.monotonic)
        self._numbering = AlertNumbering()
        self._undecodable: Counter[str] = Counter()
        self._reload_at: float | None = None
        self._state_fault = ""
        confirmation, thing = options.outbox.confirmation, context.thing
        published = (
            (confirmation.alerts, topics.cloud_alerts),
            (confirmation.health, topics.cloud_health),
            (confirmation.results, topics.cloud_results),
        )
        self.echo_topics: tuple[str, ...] = tuple(topic(thing) for how, topic in published if how == "echo")
        self.cloud_topics: tuple[str, ...] = (topics.cloud_alerts_ack(thing), *self.echo_topics)
        self._load()
        own = (topics.RESULTS, topics.ALERTS_ACK, topics.HEALTH)
        of_actions = dict.fromkeys(topic for action in self._actions.values() for topic in action.topics)
        self.topics: tuple[str, ...] = own + tuple(topic for topic in of_actions if topic not in own)

    # -- called by edgeml.runtime.runner

    def start(self) -> None:
        """Request the results that came while this component did not receive."""
        self._model_alarms.tracker.query()

    def on_message(self, topic: str, message: Message, sent_at: float | None = None) -> None:
        """Handle a message; one that does not belong on `topic` is logged and dropped.

        Args:
            sent_at: monotonic time; None: just now.
        """
        if self._reload_at is not None:
            return
        try:
            self._route(topic, message, self._context.monotonic() if sent_at is None else sent_at)
        except StateDbError as fault:
            self._state_fault, self._reload_at = str(fault), self._context.monotonic() + RELOAD_S
            raise

    def on_echo(self, payload: bytes) -> None:
        """A message of this component has come back from IoT Core."""
        if self._reload_at is None:
            self._sender.echo(payload)

    def tick(self, now: float) -> float:
        """Do what is due, local work first; returns the seconds until more is."""
        try:
            if self._reload_at is not None:
                return self._reload(now)
            self._health_alarms.tick(now)
            self._model_alarms.expire(now)
            self._alerts.dispatch(self._actions)
            # A command to a machine must not wait for an alert that cannot be published, and that must not wait for IoT Core.
            waits = [self._tick_action(name, action, now) for name, action in self._actions.items() if action.local]
            # Local actions may have added notes to alarms: every action gets those alerts before they are published.
            self._alerts.dispatch(self._actions)
            waits.append(self._alerts.publish(now))
            waits += [self._tick_action(name, action, now) for name, action in self._actions.items() if not action.local]
            self._store.check_disk(now)
            waits += [self._reporter.tick(now), self._sender.tick(now)]
        except StateDbError as fault:
            self._state_fault, self._reload_at = str(fault), now + RELOAD_S
            raise
        return min(waits)

    def status(self) -> Status:
        faults = (self._state_fault,) if self._state_fault else self._store.faults + self._sender.faults
        faults += self._action_faults.faults()
        waiting = self._alerts.refused_count
        if waiting:
            faults += (f"{waiting} alerts wait: the nucleus refuses them on {topics.ALERTS}; check its broker, and accessControl",)
        return Status(component=self._context.component, state="running", faults=faults)

    def metrics(self) -> Metrics:
        drops = dict(self._store.outbox.dropped)
        drops.update({f"not understood: {topic}": count for topic, count in self._undecodable.items()})
        if self._model_alarms.lost_count:
            drops["results lost on the way"] = self._model_alarms.lost_count
        waiting = queues(self._store.outbox) | {f"to {topics.ALERTS}": (self._alerts.refused_count, 0)}
        return Metrics(self._model_alarms.lag_s, queues=waiting, drops=drops)

    def close(self) -> None:
        self._reporter.flush()
        for action in self._actions.values():
            action.close()
        self._store.close()

    # -- state

    def _load(self, lag_s: float | None = None) -> None:
        """Open the state, and make all parts that depend on it."""
        context, options = self._context, self._options
        self._store = StateDb(context.work / STATE_FILE, options.outbox, context.monotonic)
        self._store.prune()
        outbox, bus = self._store.outbox, context.bus
        self._sender = CloudSender(outbox, options.outbox, bus.publish_cloud, bus.resubscribe_unmonitored, monotonic=context.monotonic)
        self._reporter = ResultReporter(options.report, context.thing, outbox, self._policies)
        self._alerts = AlertQueue(self._store, bus, self._numbering, self._action_failed)
        recorder = AlarmRecorder(self._store, self._alerts, context.wall_ns)
        of_health: list[SavedPolicy] = []
        of_models: list[SavedPolicy] = []
        for saved in self._store.policies():
            (of_health if saved.model.startswith(PREFIX) else of_models).append(saved)
        self._monitor = HealthMonitor(options.health_alarms, of_health, context.monotonic(), context.wall_ns())
        self._health_alarms = HealthAlarms(context, self._monitor, HealthForwarder(options.health), self._store, recorder)
        self._model_alarms = ModelAlarms(
            context, self._policies, options.expiry, of_models, self._store, recorder, self._reporter, self._throttled_log
        )
        self._model_alarms.lag_s = lag_s
        self._updates = AlarmUpdates(self._store, recorder, (self._model_alarms, self._health_alarms), self._throttled_log)
        action_context = ActionContext(
            bus,
            self._store,
            outbox,
            context.thing,
            context.monotonic,
            context.wall_ns,
            self._updates.add_note,
            self._receive_waiting,
        )
        self._actions: dict[str, Action] = {}
        for name, raw in options.actions.items():
            action_options: ActionOptions = read(ACTIONS[name].options, raw, f"actions.{name}")
            if action_options.enabled:
                self._actions[name] = ACTIONS[name].make(action_context, action_options)

    def _reload(self, now: float) -> float:
        assert self._reload_at is not None
        if now < self._reload_at:
            return self._reload_at - now
        self._reload_at = now + RELOAD_S
        try:
            self._store.close()
            self._load(self._model_alarms.lag_s)
        except StateDbError as fault:
            self._state_fault = str(fault)
            raise
        self._reload_at, self._state_fault = None, ""
        self._model_alarms.tracker.query()
        return 0.0

    # -- messages

    def _route(self, topic: str, message: Message, sent_at: float) -> None:
        if topic == topics.RESULTS:
            if isinstance(message, ResultBlock):
                self._model_alarms.evaluate(message)
                return
            if isinstance(message, ReplayStart):
                self._model_alarms.tracker.on_replay_start(message)
                return
            if isinstance(message, KeepAlive):
                self._model_alarms.tracker.on_keep_alive(message)
                return
        elif topic == topics.HEALTH:
            if isinstance(message, Health):
                self._health_alarms.take(message)
                return
        elif topic in (topics.ALERTS_ACK, *self.cloud_topics):
            if isinstance(message, Acknowledge):
                self._updates.acknowledge(message)
                return
        else:
            for action in self._actions.values():
                if topic in action.topics:
                    action.on_message(topic, message, sent_at)
            return
        kind = message.__struct_config__.tag
        self._throttled_log.warning("a %s message on %s is dropped: it does not belong there; check its publisher", kind, topic)

    def _receive_waiting(self, local_topics: Sequence[str]) -> None:
        """Handle the messages that already wait on local topics, ahead of all others."""
        for topic in local_topics:
            while (received := self._context.bus.take_queued(topic)) is not None:
                try:
                    self._route(topic, decode(received.payload), received.sent_at)
                except MessageError as fault:
                    self._undecodable[topic] += 1
                    log.log(logging.DEBUG if self._undecodable[topic] > 1 else logging.WARNING, "%s: %s", topic, fault)

    def _tick_action(self, name: str, action: Action, now: float) -> float:
        try:
            return action.tick(now)
        except EdgemlError:
            raise
        except Exception as fault:
            self._action_failed(name, "failed", fault)
            return RETRY_S

    def _action_failed(self, name: str, failure: str, fault: Exception) -> None:
        """Log an unexpected fault of an action, and report it in the status."""
        sentence = f"the action {name} {failure}: an unexpected error; the other actions continue"
        self._action_faults.warn(sentence, name, traceback=True, status=f"{sentence} ({describe(fault)}); see the log, and report it")
