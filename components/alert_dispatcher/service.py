"""The component: results in, alarms kept, alerts and actions out. Everything it decides is on disk before anything goes out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from alert_dispatcher.actions import ACTIONS, Action, ActionContext
from alert_dispatcher.actions.base import IDLE_S, ActionOptions
from alert_dispatcher.alarm_expiry import LOOK_S, AlarmExpiry, Key
from alert_dispatcher.alert_text import why
from alert_dispatcher.health_alarms import PREFIX, VERSION, HealthMonitor
from alert_dispatcher.health_forwarder import HealthForwarder
from alert_dispatcher.options import AlertDispatcherOptions
from alert_dispatcher.result_reporter import BatchWriter, Downsampler, entry, verdict
from alert_dispatcher.state_db import SavedPolicy, StateDb, StateDbError
from edgeml.alarms.alarm_policy import ACKNOWLEDGED, CLEARED, LONGEST_NOTE, PENDING, Alarm, AlarmPolicy, Change
from edgeml.cloud.outbox import HEALTH, MAX_ENTRY
from edgeml.cloud.sender import CloudSender, queues
from edgeml.config.schema import read
from edgeml.errors import EdgemlError, MessageError
from edgeml.ipc.bus import RelaunchNeeded
from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import (
    Acknowledge,
    Alert,
    Health,
    KeepAlive,
    Message,
    ReplayRequest,
    ReplayStart,
    ResultBlock,
    ResultColumns,
    Status,
    decode,
    encode,
    encode_json,
    topics,
)
from edgeml.messages.sequencing import SequenceTracker, new_stream
from edgeml.model.startup_recovery import is_stopped
from edgeml.parsing.sanitize import fit, fit_end, one_line, printable, size, visible
from edgeml.runtime.runner import ComponentContext
from edgeml.runtime.status_reporter import Metrics
from edgeml.timestamps import Moment, age_s, boot_id, to_iso

log = logging.getLogger(__name__)

STATE_FILE = "alarms.sqlite3"
RETRY_S = 1.0
"""Between two tries to publish an alert that the nucleus did not take."""
LONGEST_BY = 200
"""Bytes of the name of a person."""
NUMBERING = 64
"""Bytes by which an alert grows when it is published: its stream and number."""
AT_ONCE = 50
"""Alerts that one step publishes, at most: after an outage of the broker there may be thousands, and a command must not wait for them."""
RELOAD_S = 5.0
"""After the state could not be written; results come again by a replay then."""


class AlertDispatcher:
    """The service that `edgeml.runtime.runner` runs.

    Raises:
        OptionsError: an action's options are wrong.
        StateDbError: the state cannot be opened.
    """

    timed = True

    def __init__(self, context: ComponentContext, options: AlertDispatcherOptions) -> None:
        self._context, self._options = context, options
        self._seldom = RateLimitedLog(log, context.monotonic)
        self._stream = new_stream()
        self._numbers: dict[str, int] = {}
        self._retry_at = 0.0
        self._unread: Counter[str] = Counter()
        self._refused = 0  # alerts that wait because the nucleus takes none
        self._reload_at: float | None = None
        self._trouble = ""
        confirmation, thing = options.outbox.confirmation, context.thing
        own_topics = (
            (confirmation.alerts, topics.cloud_alerts),
            (confirmation.health, topics.cloud_health),
            (confirmation.results, topics.cloud_results),
        )
        self.echo_topics: tuple[str, ...] = tuple(topic(thing) for how, topic in own_topics if how == "echo")
        self.cloud_topics: tuple[str, ...] = (topics.cloud_alerts_ack(thing), *self.echo_topics)
        self._forwarder = HealthForwarder(options.health)
        self._lag_s: float | None = None
        self._load()
        own = (topics.RESULTS, topics.ALERTS_ACK, topics.HEALTH)
        wanted = {topic: None for action in self._actions.values() for topic in action.topics}
        self.topics: tuple[str, ...] = own + tuple(topic for topic in wanted if topic not in own)

    # -- what edgeml.runtime.runner calls

    def start(self) -> None:
        """Ask for the results that came while nobody listened."""
        self._receiver.ask_again()

    def on_message(self, topic: str, message: Message, sent_at: float | None = None) -> None:
        """Take a message; what does not belong on `topic` is named in the log and dropped.

        Args:
            sent_at: monotonic time; None: just now.
        """
        if self._reload_at is not None:
            return
        try:
            self._take(topic, message, self._context.monotonic() if sent_at is None else sent_at)
        except StateDbError as fault:
            self._trouble, self._reload_at = str(fault), self._context.monotonic() + RELOAD_S
            raise

    def on_echo(self, payload: bytes) -> None:
        """What this component has published has come back from IoT Core."""
        if self._reload_at is None:
            self._delivery.echo(payload)

    def tick(self, now: float) -> float:
        """Publish and act upon what was decided, local work first."""
        try:
            if self._reload_at is not None:
                return self._reload(now)
            self._look(now)
            self._expire(now)
            self._act()
            # A command to a machine must not wait for an alert that cannot be published, nor that for IoT Core.
            waits = [self._tick(action, now) for action in self._actions.values() if action.local]
            # They may have put notes on alarms: alerts of their own, which every action is to see before they are published.
            self._act()
            waits.append(self._publish_alerts(now))
            waits += [self._tick(action, now) for action in self._actions.values() if not action.local]
            self._store.look(now)
            waits += [self._gatherer.tick(now), self._delivery.tick(now)]
        except StateDbError as fault:
            self._trouble, self._reload_at = str(fault), now + RELOAD_S
            raise
        return min(waits)

    def status(self) -> Status:
        faults = (self._trouble,) if self._trouble else self._store.faults + self._delivery.faults
        if self._refused:
            faults += (f"{self._refused} alerts wait: the nucleus takes none on {topics.ALERTS}; see its broker, and accessControl",)
        return Status(component=self._context.component, state="running", faults=faults)

    def vitals(self) -> Metrics:
        drops = dict(self._store.outbox.dropped)
        drops.update({f"not understood: {topic}": count for topic, count in self._unread.items()})
        if self._lost:
            drops["results lost on the way"] = self._lost
        return Metrics(self._lag_s, queues=queues(self._store.outbox) | {f"to {topics.ALERTS}": (self._refused, 0)}, drops=drops)

    def close(self) -> None:
        self._gatherer.flush()
        for action in self._actions.values():
            action.close()
        self._store.close()

    # -- state

    def _load(self) -> None:
        self._store = StateDb(self._context.work / STATE_FILE, self._options.outbox, self._context.monotonic)
        self._store.prune()
        outbox, bus = self._store.outbox, self._context.bus
        self._delivery = CloudSender(outbox, self._options.outbox, bus.publish_cloud, bus.renew_unheard, monotonic=self._context.monotonic)
        self._gatherer = BatchWriter(self._context.thing, self._options.report.gather_s, outbox)
        self._policies: dict[tuple[str, str], AlarmPolicy] = {}
        self._versions: dict[tuple[str, str], str] = {}
        watched: list[SavedPolicy] = []
        judged: list[SavedPolicy] = []
        for kept in self._store.policies():
            (watched if kept.model.startswith(PREFIX) else judged).append(kept)
        self._watch = HealthMonitor(self._options.health_alarms, watched, self._context.monotonic(), self._context.wall_ns())
        for kept in judged:
            key = kept.asset, kept.model
            try:
                self._policies[key] = AlarmPolicy(self._options.policy, kept.asset, kept.model, kept.state)
            except msgspec.ValidationError as fault:
                log.error("what is kept of %s and %s cannot be read (%s); they are judged anew", *key, fault)
                continue
            self._versions[key] = kept.model_version
        kept_at = {key: self._store.recall(_silent_key(key), Moment) for key in self._policies}
        self._expiry = AlarmExpiry(self._options.expiry, {key: at for key, at in kept_at.items() if at is not None})
        self._expire_at = 0.0
        self._receiver = SequenceTracker(topics.RESULTS, self._ask, self._context.monotonic)
        for position in self._store.positions():
            self._receiver.resume(*position)
        self._lost = 0
        self._thinners: dict[tuple[str, str], Downsampler] = {}
        around = ActionContext(
            bus, self._store, outbox, self._context.thing, self._context.monotonic, self._context.wall_ns, self._note, self._catch_up
        )
        self._actions: dict[str, Action] = {}
        for name, raw in self._options.actions.items():
            wanted: ActionOptions = read(ACTIONS[name].options, raw, f"actions.{name}")
            if wanted.enabled:
                self._actions[name] = ACTIONS[name].make(around, wanted)
        self._to_act = self._to_publish = True

    def _reload(self, now: float) -> float:
        assert self._reload_at is not None
        if now < self._reload_at:
            return self._reload_at - now
        self._reload_at = now + RELOAD_S
        try:
            self._store.close()
            self._load()
        except StateDbError as fault:
            self._trouble = str(fault)
            raise
        self._reload_at, self._trouble = None, ""
        self._receiver.ask_again()
        return 0.0

    def _ask(self, replay: ReplayRequest) -> None:
        self._context.bus.publish(topics.REPLAY, encode(replay))

    # -- messages

    def _take(self, topic: str, message: Message, sent_at: float) -> None:
        if topic == topics.RESULTS:
            if isinstance(message, ResultBlock):
                self._judge(message)
                return
            if isinstance(message, ReplayStart):
                self._receiver.replaying(message)
                return
            if isinstance(message, KeepAlive):
                self._receiver.keep_alive(message)
                return
        elif topic == topics.HEALTH:
            if isinstance(message, Health):
                self._hear(message, self._context.monotonic())
                return
        elif topic in (topics.ALERTS_ACK, *self.cloud_topics):
            if isinstance(message, Acknowledge):
                self._acknowledge(message)
                return
        else:
            for action in self._actions.values():
                if topic in action.topics:
                    action.on_message(topic, message, sent_at)
            return
        self._seldom.warning("a %s message on %s does not belong there; check who publishes it", message.__struct_config__.tag, topic)

    def _judge(self, block: ResultBlock) -> None:
        columns = block.arrays()
        sound = block.in_line(columns.reason)
        line = columns.times if sound is None else columns.times[sound]
        end = int(line[-1]) if len(line) else 0
        if not self._receiver.accept(block.asset, block.stream, block.seq, end):
            return
        if self._receiver.lost > self._lost:
            lost = self._receiver.lost - self._lost
            self._seldom.warning("%d results messages were lost before number %d of %s", lost, block.seq, block.asset)
            self._lost = self._receiver.lost
        if end:
            self._lag_s = age_s(self._context.wall_ns(), end)
        key = block.asset, block.model
        known = self._policies.get(key)
        # Judged on a copy: until the transaction is through, nothing has happened.
        policy = AlarmPolicy(self._options.policy, block.asset, block.model, known.state() if known else None)
        before = policy.alarm.state if policy.alarm else ""
        confidences = np.where(columns.reason == 0, columns.confidence, np.nan)
        epoch = 0 if block.epoch is msgspec.UNSET else block.epoch
        in_line = None if sound is None else sound.tolist()
        standing = [False, *map(is_stopped, block.reasons)]
        stopped = [standing[reason] for reason in columns.reason.tolist()] if any(standing) else None
        judged = policy.judge_block(
            block.answers_stream, columns.times.tolist(), confidences.tolist(), columns.deviations, stopped, epoch, in_line
        )
        with self._store.transaction(durable=bool(judged.changes)):
            self._store.keep_position(block.asset, *self._receiver.position(block.asset))
            self._keep(policy, block.model_version)
            for change in judged.changes:
                deviations = columns.deviations[change.row].tolist() if change.row >= 0 else ()
                self._decide(change, block.model_version, block.channels, deviations)
            if len(block) and self._expiry.answered(key, self._moment()):
                self._store.forget(_silent_key(key))
            if self._options.report.enabled:
                self._report(block, columns, judged.rows, judged.changes, before)
        self._policies[key], self._versions[key] = policy, block.model_version

    # -- how the components are

    def _hear(self, health: Health, now: float) -> None:
        self._watch.hear(health, now)
        payload = self._forwarder.take(health, now)
        if payload is not None:
            self._store.outbox.put(HEALTH, topics.cloud_health(self._context.thing), payload, self._context.wall_ns())

    def _look(self, now: float) -> None:
        for judgement in self._watch.tick(now):
            policy = judgement.policy
            with self._store.transaction(durable=True):
                if policy.alarm is None:
                    self._store.forget_policy(policy.asset, policy.model)
                else:
                    self._keep(policy, VERSION)
                for change in judgement.changes:
                    self._decide(change, VERSION)

    def _expire(self, now: float) -> None:
        """End the alarms that nobody judges any more."""
        if now < self._expire_at:
            return
        self._expire_at, moment = now + LOOK_S, self._moment()
        alarms = [key for key, policy in self._policies.items() if policy.alarm is not None]
        for key, at in self._expiry.silent(alarms, moment):
            self._store.remember(_silent_key(key), at)
        for key, because in self._expiry.expired(alarms, moment):
            policy = self._policies[key]
            with self._store.transaction(durable=True):
                for change in policy.abandon(because):
                    self._keep(policy, self._versions[key])
                    self._decide(change, self._versions[key])
                self._store.forget(_silent_key(key))
            log.warning("an alarm about %s is ended: %s", key[0], because)

    def _moment(self) -> Moment:
        return Moment(self._context.wall_ns(), self._context.monotonic(), boot_id())

    # -- people

    def _open(self) -> Iterator[tuple[AlarmPolicy, str]]:
        """Every policy that may have an alarm, and the version of the model that it judges."""
        for key, policy in self._policies.items():
            yield policy, self._versions[key]
        for policy in self._watch.open.values():
            yield policy, VERSION

    def _acknowledge(self, message: Acknowledge) -> None:
        by, note = fit(visible(message.by), LONGEST_BY), fit(visible(message.note), LONGEST_NOTE // 2)
        for policy, version in self._open():
            changes = policy.acknowledge(message.alarm, by, note)
            if changes:
                with self._store.transaction(durable=True):
                    self._keep(policy, version)
                    for change in changes:
                        self._decide(change, version)
                return
        alarm = self._store.alarm(message.alarm)
        shown = repr(message.alarm[:80])
        if alarm is None:
            self._seldom.warning("nobody has raised an alarm %s; nothing is acknowledged, see %s for the ids", shown, topics.ALERTS)
        elif alarm.state == ACKNOWLEDGED:
            self._seldom.info("alarm %s is acknowledged already%s", shown, f" by {alarm.acknowledged_by}" if alarm.acknowledged_by else "")
        elif alarm.state == PENDING:
            self._seldom.warning("alarm %s is pending, not active; acknowledge it when it is", shown)
        else:
            self._seldom.warning("alarm %s is %s; there is nothing to acknowledge any more", shown, alarm.state)

    # -- decisions

    def _keep(self, policy: AlarmPolicy, model_version: str) -> None:
        self._store.keep_policy(SavedPolicy(policy.asset, policy.model, model_version, policy.state()))

    def _decide(self, change: Change, model_version: str, channels: Sequence[str] = (), deviations: Sequence[float] = ()) -> None:
        sentence = self._watch.sentence(change.alarm) or why(change.alarm, change.at, channels, deviations, change.because)
        alert = _alert(change.alarm, change.at, model_version, sentence)
        self._store.keep_alarm(change.alarm)
        self._store.post(alert, self._context.wall_ns())
        self._to_act = self._to_publish = True

    def _note(self, alarm_id: str, sentence: str) -> None:
        for policy, version in self._open():
            changes = policy.annotate(alarm_id, sentence)
            if changes:
                with self._store.transaction(durable=True):
                    self._keep(policy, version)
                    for change in changes:
                        self._decide(change, version)

    def _catch_up(self, wanted: Sequence[str]) -> None:
        for topic in wanted:
            while (received := self._context.bus.take_waiting(topic)) is not None:
                try:
                    self._take(topic, decode(received.payload), received.sent_at)
                except MessageError as fault:
                    self._unread[topic] += 1
                    log.log(logging.DEBUG if self._unread[topic] > 1 else logging.WARNING, "%s: %s", topic, fault)

    def _act(self) -> None:
        if not self._to_act:
            return
        for pending in self._store.to_act_upon():
            with self._store.transaction():
                for action in self._actions.values():
                    try:
                        action.act(pending.alert, pending.decided_ns)
                    except StateDbError:
                        raise
                    except Exception:
                        log.exception("%s failed on alarm %s; the other actions go on", type(action).__name__, pending.alert.id)
                self._store.acted(pending.no)
        self._to_act = False

    def _tick(self, action: Action, now: float) -> float:
        try:
            return action.tick(now)
        except (EdgemlError, RelaunchNeeded):
            raise
        except Exception:
            log.exception("%s failed; the other actions go on", type(action).__name__)
            return RETRY_S

    def _publish_alerts(self, now: float) -> float:
        if not self._to_publish:
            return IDLE_S
        if now < self._retry_at:
            return self._retry_at - now
        for pending in self._store.to_publish(AT_ONCE):
            if not self._publish(pending.alert):
                self._retry_at, self._refused = now + RETRY_S, self._store.unpublished
                return RETRY_S
            self._store.published(pending.no)
        self._refused = 0
        self._to_publish = self._store.unpublished > 0
        return 0.0 if self._to_publish else IDLE_S

    def _publish(self, alert: Alert) -> bool:
        seq = self._numbers.get(alert.asset, 0)
        payload = encode(msgspec.structs.replace(alert, stream=self._stream, seq=seq))
        if not self._context.bus.publish(topics.ALERTS, payload):
            return False
        self._numbers[alert.asset] = seq + 1
        return True

    def _report(self, block: ResultBlock, columns: ResultColumns, rows: Sequence[int], changes: Sequence[Change], state: str) -> None:
        thinner = self._thinners.setdefault((block.asset, block.model), Downsampler(self._options.report.interval_s))
        states = {change.row: "" if change.alarm.state == CLEARED else change.alarm.state for change in changes}
        state = states.get(-1, state)
        wanted = []
        for row in rows:
            state = states.get(row, state)
            said = verdict(columns.confidence[row], columns.reason[row] == 0, self._options.policy.raise_at)
            if thinner.wants(int(columns.times[row]), said, state):
                wanted.append((int(columns.times[row]), entry(block, columns, row, said, state)))
        self._gatherer.add(block, wanted, self._context.monotonic())


def _alert(alarm: Alarm, at: int, model_version: str, sentence: str) -> Alert:
    """The alert, with texts that fit into a message whatever the names in it are."""
    alert = Alert(
        id=alarm.id,
        asset=alarm.asset,
        stream="",
        seq=0,
        model=alarm.model,
        model_version=model_version,
        state=alarm.state,
        at=to_iso(at),
        raised_at=None if alarm.raised_at is None else to_iso(alarm.raised_at),
        cleared_at=None if alarm.cleared_at is None else to_iso(alarm.cleared_at),
        confidence=alarm.confidence,
        peak_confidence=alarm.peak,
    )
    room = MAX_ENTRY - NUMBERING - len(encode_json(alert))
    by, why_text = one_line(alarm.acknowledged_by, min(LONGEST_BY, room // 4)), one_line(sentence, room // 3)
    note = fit_end(printable(alarm.note), room - size(by) - size(why_text))
    return msgspec.structs.replace(alert, why=why_text, acknowledged_by=by, note=note)


def _silent_key(key: Key) -> str:
    return f"expiry/{key[0]}/{key[1]}"
