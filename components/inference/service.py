"""The component's loop: each sensor batch is answered by result blocks, and a replay repeats either."""

from __future__ import annotations

import contextlib
import logging

from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import KeepAlive, Message, ReplayRequest, ReplayStart, ResetBaseline, SensorBatch, Status, encode, topics
from edgeml.messages.sequencing import KeepAliveTimer, SequenceTracker, new_stream
from edgeml.model.scorer import same_windows
from edgeml.parsing.sanitize import visible
from edgeml.runtime.service import ComponentContext, Metrics
from edgeml.timestamps import age_s
from inference.baseline_files import BaselineFiles, LostBaselineError
from inference.model_loader import ModelLoader
from inference.options import InferenceOptions
from inference.recent_rows import RecentRows, SavedRows, latest_batches
from inference.scored_asset import ScoredAsset
from inference.unpacked_batch import UnpackedBatch

log = logging.getLogger(__name__)

LEARNING_STEPS = 4
"""Lines in the log about the progress of learning a baseline."""
LOST_BASELINE_CHECK_S = 5.0
"""Interval of checks for a baseline that could not be read."""
RESTORED_RESULTS = 300
"""Results of an earlier process that this one scores again, so that a consumer which missed them can request them."""


class Inference:
    """See README.md for the numbered behaviors.

    Raises:
        BundleError: the bundle is missing, altered, not signed with a trusted key, or does not fit its manifest.
    """

    side_by_side = True  # a refused bundle leaves the running model, its windows and its stream alone
    takes_payload = True

    topics: tuple[str, ...] = (topics.SENSORS, topics.REPLAY, topics.CONTROL)
    cloud_topics: tuple[str, ...] = ()

    def __init__(self, context: ComponentContext, options: InferenceOptions) -> None:
        self._context, self._options = context, options
        self._throttled_log = RateLimitedLog(log, context.monotonic)
        self._loader = ModelLoader(context, options)
        self._model = self._loader.initial()
        self._begin_stream()
        self._keep_alive = KeepAliveTimer(lambda payload: context.bus.publish(topics.RESULTS, payload))
        self._lag_s: float | None = None

    def start(self) -> None:
        self._tracker.query()

    def on_message(self, topic: str, message: Message, payload: bytes | None = None) -> None:
        """Handle a message.

        Args:
            payload: the message as it arrived; None: encode it where it is needed.
        """
        if isinstance(message, SensorBatch):
            self._take_batch(message, payload)
        elif isinstance(message, ReplayStart) and topic == topics.SENSORS:
            self._tracker.on_replay_start(message)
        elif isinstance(message, KeepAlive) and topic == topics.SENSORS:
            self._tracker.on_keep_alive(message)
        elif isinstance(message, ReplayRequest) and message.topic == topics.RESULTS:
            self._replay(message)
        elif isinstance(message, ResetBaseline):
            self._reset_baseline(message.asset)

    def tick(self, now: float) -> float:
        self._check_for_new_model()
        self._baselines.tick()
        self._check_lost_baselines(now)
        if not self._assets:
            return self._keep_alive.tick(now, self._stream)
        return min(self._keep_alive.tick(now, self._stream, asset.name, asset.replay_buffer.next_seq) for asset in self._assets.values())

    def status(self) -> Status:
        assets = self._assets.values()
        own = (self._loader.fault, *(asset.fault for asset in assets), *(asset.withheld for asset in assets))
        faults = tuple(filter(None, (*own, *self._loader.unwritten, *self._baselines.faults, *self._unsaved_rows())))
        return Status(component=self._context.component, state="running", faults=faults)

    def metrics(self) -> Metrics:
        drops = {"sensor batches lost on the way": self._lost} if self._lost else {}
        unscored = {name: found for name, asset in self._assets.items() if (found := asset.coverage.unscored()) is not None}
        return Metrics(self._lag_s, drops=drops, unscored=unscored)

    def close(self) -> None:
        pass

    def _begin_stream(self) -> None:
        """Begin a stream of results, in which no asset is known."""
        self._baselines = BaselineFiles(self._context.work / "baselines", self._model.bundle.manifest, self._context.monotonic)
        self._check_lost_at = self._context.monotonic() + LOST_BASELINE_CHECK_S
        self._stream = new_stream()
        self._assets: dict[str, ScoredAsset] = {}
        self._recent_rows: dict[str, RecentRows] = {}
        self._tracker = SequenceTracker(topics.SENSORS, self._request_replay, self._context.monotonic)
        self._lost = 0
        for batch in latest_batches(self._context.work / "rows"):
            self._tracker.resume(batch.asset, batch.stream, batch.seq + 1, UnpackedBatch.of(batch).end_ns)

    def _check_for_new_model(self) -> None:
        """Swap to a new model of the model component, between two batches."""
        model = self._loader.poll_new()
        if model is None:
            return
        before, self._model = self._model, model
        if same_windows(before.bundle.manifest, model.bundle.manifest):
            for asset in self._assets.values():
                asset.swap_model(model.bundle, model.engine)
            log.info("model %s replaces %s; windows and baselines are kept", model, before)
            return
        log.info("model %s replaces %s; its windows differ and refill", model, before)
        self._begin_stream()
        self._tracker.query()

    def _take_batch(self, batch: SensorBatch, payload: bytes | None) -> None:
        unpacked = UnpackedBatch.of(batch)
        asset = self._assets.get(batch.asset) or self._add_asset(batch.asset)
        if not self._tracker.accept(batch.asset, batch.stream, batch.seq, unpacked.end_ns):
            # A source repeats a batch whose answer it did not receive.
            self._publish(asset.previous_answer(batch))
            return
        if self._tracker.lost != self._lost:
            self._throttled_log.warning("%d sensor batches were lost so far", self._tracker.lost)
            self._lost = self._tracker.lost
        if unpacked.end_ns:
            self._lag_s = age_s(self._context.wall_ns(), unpacked.end_ns)
        blocks = self._score(asset, unpacked)
        # Saved before it is answered: the source drops an answered batch.
        self._recent_rows[batch.asset].append(batch, encode(batch) if payload is None else payload, asset.holds)
        self._publish(blocks)

    def _score(self, asset: ScoredAsset, unpacked: UnpackedBatch) -> list[bytes]:
        learning = asset.baseline is None
        blocks = asset.score(unpacked, self._context.monotonic())
        if learning and asset.baseline is not None:
            self._baselines.keep(asset.name, asset.baseline)
            log.info("%s: the baseline is learned", asset.name)
        elif learning and asset.passed_learning_step(LEARNING_STEPS):
            log.info("%s: learning the baseline, %d of %d good rows", asset.name, *asset.learned)
        return blocks

    def _add_asset(self, name: str) -> ScoredAsset:
        baseline, withheld = None, ""
        try:
            baseline = self._baselines.load(name)
        except LostBaselineError as fault:
            withheld = (
                f"{name}: its baseline is lost ({fault}), so it is not scored; when the machine runs normally, send a ResetBaseline "
                "to learn it again"
            )
            log.error("%s", withheld)
        asset = self._assets[name] = ScoredAsset(
            name, self._stream, self._model.bundle, self._model.engine, baseline, self._options.replay_buffer_s
        )
        asset.withheld = withheld
        rows = self._model.bundle.manifest.rows_kept
        recent_rows = self._recent_rows[name] = RecentRows(self._context.work / "rows", name, rows)
        self._restore(asset, recent_rows.load())
        return asset

    def _restore(self, asset: ScoredAsset, saved: SavedRows) -> None:
        """Continue from the batches of an earlier process: score the latest again, and fill the windows from those before."""
        learning = asset.baseline is None
        rows_left = saved.rows
        for batch in saved.batches:
            rows_left -= len(batch.times) // 8
            unpacked = UnpackedBatch.of(batch)
            if rows_left >= RESTORED_RESULTS:
                asset.prefill(unpacked)
            else:
                asset.score(unpacked)
        if learning and asset.baseline is not None:
            self._baselines.keep(asset.name, asset.baseline)
        if saved.rows:
            log.info("%s: continues with %d saved rows", asset.name, saved.rows)

    def _check_lost_baselines(self, now: float) -> None:
        """Try again to read the baselines that could not be read."""
        if now < self._check_lost_at:
            return
        self._check_lost_at = now + LOST_BASELINE_CHECK_S
        for name, asset in self._assets.items():
            if asset.withheld:
                with contextlib.suppress(LostBaselineError):
                    baseline = self._baselines.load(name)
                    if baseline is not None:
                        asset.restore(baseline)
                        log.info("%s: its baseline can be read again", name)

    def _unsaved_rows(self) -> tuple[str, ...]:
        faults = [rows.fault for rows in self._recent_rows.values() if rows.fault]
        return (faults[0] + (f" (and {len(faults) - 1} more assets)" if len(faults) > 1 else ""),) if faults else ()

    def _publish(self, blocks: list[bytes]) -> None:
        for payload in blocks:
            self._context.bus.publish(topics.RESULTS, payload)

    def _request_replay(self, request: ReplayRequest) -> None:
        self._context.bus.publish(topics.REPLAY, encode(request))

    def _replay(self, request: ReplayRequest) -> None:
        for asset in self._assets.values():
            if request.asset in ("", asset.name):
                for payload in asset.replay_buffer.replay(request):
                    self._context.bus.publish(topics.RESULTS, payload)

    def _reset_baseline(self, name: str) -> None:
        """Forget the baseline of an asset, or of every asset if `name` is empty."""
        if name and name not in self._assets:
            known = ", ".join(self._assets) or "none"
            self._throttled_log.warning("the baseline of the unknown asset %s is not reset; known are %s", visible(name)[:128], known)
            return
        self._baselines.forget(name)
        for asset in self._assets.values():
            if name in ("", asset.name):
                asset.reset()
                self._recent_rows[asset.name].delete()
                self._throttled_log.info("%s: the baseline is reset and learned again", asset.name)
