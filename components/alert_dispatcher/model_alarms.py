"""Alarms of models: each block of results is evaluated, saved and reported in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from alert_dispatcher.alarm_expiry import CHECK_INTERVAL_S, AlarmExpiry, ExpiryOptions, Key
from alert_dispatcher.alarm_recorder import AlarmRecorder
from alert_dispatcher.alert_text import deviation_text, why
from alert_dispatcher.model_policies import ModelPolicies
from alert_dispatcher.result_reporter import ResultReporter
from alert_dispatcher.state_db import SavedPolicy, StateDb
from edgeml.alarms.alarm_policy import AlarmPolicy, Change
from edgeml.alarms.startup_recovery import is_stopped
from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import ReplayRequest, ResultBlock, ResultColumns, encode, topics
from edgeml.messages.sequencing import SequenceTracker
from edgeml.runtime.service import ComponentContext
from edgeml.timestamps import Moment, age_s, boot_id

log = logging.getLogger(__name__)


class ModelAlarms:
    """One policy for each asset and model.

    Attributes:
        tracker: the sequence numbers of results.
        lag_s: age of the latest evaluated result; None before the first.
        lost_count: result blocks that never came.
    """

    def __init__(
        self,
        context: ComponentContext,
        policies: ModelPolicies,
        expiry: ExpiryOptions,
        saved: Iterable[SavedPolicy],
        store: StateDb,
        recorder: AlarmRecorder,
        reporter: ResultReporter,
        throttled_log: RateLimitedLog,
    ) -> None:
        self._context, self._model_policies, self._store, self._recorder = context, policies, store, recorder
        self._reporter, self._log = reporter, throttled_log
        self._policies: dict[Key, AlarmPolicy] = {}
        self._versions: dict[Key, str] = {}
        for one in saved:
            self._policies[one.asset, one.model] = AlarmPolicy(policies.of(one.model), one.asset, one.model, one.state)
            self._versions[one.asset, one.model] = one.model_version
        silent_since = {key: store.get_value(_silence_key(key), Moment) for key in self._policies}
        self._expiry = AlarmExpiry(expiry, {key: at for key, at in silent_since.items() if at is not None})
        self._expire_at = 0.0
        self.tracker = SequenceTracker(topics.RESULTS, self._request_replay, context.monotonic)
        for position in store.stream_positions():
            self.tracker.resume(*position)
        self.lag_s: float | None = None
        self.lost_count = 0

    def open_policies(self) -> Iterator[tuple[AlarmPolicy, str]]:
        for key, policy in self._policies.items():
            yield policy, self._versions[key]

    def sentence(self, change: Change) -> str:
        return why(change.alarm, change.at, because=change.because)

    def evaluate(self, block: ResultBlock) -> None:
        """Evaluate the results of a block, unless it is a repetition or a block before it is missing."""
        columns = block.arrays()
        in_order = block.plausible_times(columns.reason)
        times = columns.times if in_order is None else columns.times[in_order]
        end_ns = int(times[-1]) if len(times) else 0
        if not self.tracker.accept(block.asset, block.stream, block.seq, end_ns):
            return
        if self.tracker.lost > self.lost_count:
            lost = self.tracker.lost - self.lost_count
            self._log.warning("%d result messages were lost before number %d of %s", lost, block.seq, block.asset)
            self.lost_count = self.tracker.lost
        if end_ns:
            self.lag_s = age_s(self._context.wall_ns(), end_ns)
        key = block.asset, block.model
        known = self._policies.get(key)
        # A copy is evaluated: if the transaction fails, nothing has happened.
        policy = known.copy() if known else AlarmPolicy(self._model_policies.of(block.model), block.asset, block.model)
        state_before = policy.alarm.state if policy.alarm else ""
        confidences = np.where(columns.reason == 0, columns.confidence, np.nan)
        epoch = 0 if block.epoch is msgspec.UNSET else block.epoch
        stopped_reasons = [False, *map(is_stopped, block.reasons)]
        stopped = [stopped_reasons[reason] for reason in columns.reason.tolist()] if any(stopped_reasons) else None
        deviations = None if block.explains else columns.deviations
        rows_in_order = None if in_order is None else in_order.tolist()
        result = policy.evaluate_block(
            block.answers_stream, columns.times.tolist(), confidences.tolist(), deviations, stopped, epoch, rows_in_order
        )
        with self._store.transaction(durable=bool(result.changes)):
            self._store.save_stream_position(block.asset, *self.tracker.position(block.asset))
            self._recorder.save(policy, block.model_version)
            for change in result.changes:
                view = _view(block, columns, change.row) if change.row >= 0 else ""
                self._recorder.record(change, block.model_version, why(change.alarm, change.at, view, change.because))
            if len(block) and self._expiry.answered(key, self._moment()):
                self._store.delete_value(_silence_key(key))
            self._reporter.add(block, columns, result.rows, result.changes, state_before, self._context.monotonic())
        self._policies[key], self._versions[key] = policy, block.model_version

    def expire(self, now: float) -> None:
        """End the alarms that get no results any more."""
        if now < self._expire_at:
            return
        self._expire_at, moment = now + CHECK_INTERVAL_S, self._moment()
        alarmed = [key for key, policy in self._policies.items() if policy.alarm is not None]
        for key, at in self._expiry.silent(alarmed, moment):
            self._store.set_value(_silence_key(key), at)
        for key, because in self._expiry.expired(alarmed, moment):
            policy, version = self._policies[key], self._versions[key]
            with self._store.transaction(durable=True):
                for change in policy.abandon(because):
                    self._recorder.save(policy, version)
                    self._recorder.record(change, version, self.sentence(change))
                self._store.delete_value(_silence_key(key))
            log.warning("alarm of %s is ended: %s", key[0], because)

    def _request_replay(self, request: ReplayRequest) -> None:
        self._context.bus.publish(topics.REPLAY, encode(request))

    def _moment(self) -> Moment:
        return Moment(self._context.wall_ns(), self._context.monotonic(), boot_id())


def _view(block: ResultBlock, columns: ResultColumns, row: int) -> str:
    """The channels that speak for a condition, in words: as the model explains its result, or by their deviations."""
    return block.explanation(row) if block.explains else deviation_text(block.channels, columns.deviations[row].tolist())


def _silence_key(key: Key) -> str:
    """Key of the time of the last result of an asset and a model."""
    return f"expiry/{key[0]}/{key[1]}"
