"""The component's work: each sensor batch is answered by result blocks, and both can be had again."""

from __future__ import annotations

import contextlib
import logging

from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import KeepAlive, Message, ReplayRequest, ReplayStart, ResetBaseline, SensorBatch, Status, encode, topics
from edgeml.messages.sequencing import KeepAliveTimer, SequenceTracker, new_stream
from edgeml.model.scorer import same_windows
from edgeml.parsing.sanitize import visible
from edgeml.runtime.runner import ComponentContext
from edgeml.runtime.status_reporter import Metrics
from edgeml.timestamps import age_s
from inference.baseline_files import BaselineFiles, LostBaselineError
from inference.model_loader import ModelLoader
from inference.options import InferenceOptions
from inference.recent_rows import RecentRows, end_of, latest
from inference.scored_asset import ScoredAsset

log = logging.getLogger(__name__)

LEARNING_STEPS = 4
"""So often it is said how far learning has come."""
LOST = "its baseline is lost, so it is not judged"
LOST_S = 5.0
"""Between two looks for a baseline that could not be read."""
RECALLED_RESULTS = 300
"""Results of an earlier process that can be had again of this one, by who was away when they were sent."""


class Inference:
    """See README.md for the numbered behaviours.

    Raises:
        BundleError: the bundle is missing, altered, not signed with the pinned key, or does not fit its manifest.
    """

    side_by_side = True  # a bundle that is refused leaves the model that runs, its windows and its stream alone

    topics: tuple[str, ...] = (topics.SENSORS, topics.REPLAY, topics.CONTROL)
    cloud_topics: tuple[str, ...] = ()

    def __init__(self, context: ComponentContext, options: InferenceOptions) -> None:
        self._context, self._options = context, options
        self._seldom = RateLimitedLog(log, context.monotonic)
        self._models = ModelLoader(context, options)
        self._model = self._models.first()
        self._begin()
        self._pulse = KeepAliveTimer(lambda payload: context.bus.publish(topics.RESULTS, payload))
        self._lag_s: float | None = None

    def start(self) -> None:
        self._receiver.ask_again()

    def on_message(self, topic: str, message: Message) -> None:
        if isinstance(message, SensorBatch):
            self._batch(message)
        elif isinstance(message, ReplayStart) and topic == topics.SENSORS:
            self._receiver.replaying(message)
        elif isinstance(message, KeepAlive) and topic == topics.SENSORS:
            self._receiver.keep_alive(message)
        elif isinstance(message, ReplayRequest) and message.topic == topics.RESULTS:
            self._replay(message)
        elif isinstance(message, ResetBaseline):
            self._reset(message.asset)

    def tick(self, now: float) -> float:
        self._renew()
        self._baselines.tick()
        self._look_for_lost(now)
        if not self._assets:
            return self._pulse.tick(now, self._stream)
        return min(self._pulse.tick(now, self._stream, asset.name, asset.history.next_seq) for asset in self._assets.values())

    def status(self) -> Status:
        assets = self._assets.values()
        own = (self._models.fault, *(asset.fault for asset in assets), *(asset.withheld for asset in assets))
        faults = tuple(filter(None, (*own, *self._models.unwritten, *self._baselines.faults, *self._unremembered())))
        return Status(component=self._context.component, state="running", faults=faults)

    def vitals(self) -> Metrics:
        drops = {"sensor batches lost on the way": self._lost} if self._lost else {}
        found = {name: unjudged for name, asset in self._assets.items() if (unjudged := asset.tally.unjudged()) is not None}
        return Metrics(self._lag_s, drops=drops, not_judged=found)

    def close(self) -> None:
        pass

    def _begin(self) -> None:
        """A stream of its own, in which nothing is known of any asset."""
        self._baselines = BaselineFiles(self._context.work / "baselines", self._model.bundle.manifest, self._context.monotonic)
        self._look_at = self._context.monotonic() + LOST_S
        self._stream = new_stream()
        self._assets: dict[str, ScoredAsset] = {}
        self._memories: dict[str, RecentRows] = {}
        self._receiver = SequenceTracker(topics.SENSORS, self._ask, self._context.monotonic)
        self._lost = 0
        for batch in latest(self._context.work / "rows"):
            self._receiver.resume(batch.asset, batch.stream, batch.seq + 1, end_of(batch))

    def _renew(self) -> None:
        """Go over to a new model of the model component, between two batches."""
        fresh = self._models.fresh()
        if fresh is None:
            return
        before, self._model = self._model, fresh
        if same_windows(before.bundle.manifest, fresh.bundle.manifest):
            for asset in self._assets.values():
                asset.adopt(fresh.bundle, fresh.engine)
            log.info("model %s takes over from %s, windows and baselines included", fresh, before)
            return
        log.info("model %s takes over from %s; its windows are others and fill anew", fresh, before)
        self._begin()
        self._receiver.ask_again()

    def _batch(self, batch: SensorBatch) -> None:
        end = end_of(batch)
        asset = self._assets.get(batch.asset) or self._add(batch.asset)
        if not self._receiver.accept(batch.asset, batch.stream, batch.seq, end):
            # A source repeats a batch whose answer it did not get.
            self._publish(asset.answered(batch))
            return
        if self._receiver.lost != self._lost:
            self._seldom.warning("%d sensor batches were lost so far", self._receiver.lost)
            self._lost = self._receiver.lost
        if end:
            self._lag_s = age_s(self._context.wall_ns(), end)
        blocks = self._score(asset, batch)
        # Before it is answered: the source forgets what is.
        self._memories[batch.asset].keep(batch)
        self._publish(blocks)

    def _score(self, asset: ScoredAsset, batch: SensorBatch) -> list[bytes]:
        learning = asset.baseline is None
        blocks = asset.score(batch, self._context.monotonic())
        if learning and asset.baseline is not None:
            self._baselines.keep(batch.asset, asset.baseline)
            log.info("%s: the baseline is learned", batch.asset)
        elif learning and asset.learns_on(LEARNING_STEPS):
            log.info("%s: learning what is normal, %d of %d good rows", batch.asset, *asset.learned)
        return blocks

    def _add(self, name: str) -> ScoredAsset:
        baseline, withheld = None, ""
        try:
            baseline = self._baselines.load(name)
        except LostBaselineError as fault:
            withheld = f"{name}: {LOST} ({fault}); when the machine runs normally, send a ResetBaseline, and it is learned again"
            log.error("%s", withheld)
        asset = self._assets[name] = ScoredAsset(
            name, self._stream, self._model.bundle, self._model.engine, baseline, self._options.replay_buffer_s
        )
        asset.withheld = withheld
        # The oldest step of a view is a mean of rows from before it.
        longest = max(view.rows + view.every for view in self._model.bundle.manifest.views)
        memory = self._memories[name] = RecentRows(self._context.work / "rows", name, longest)
        self._recall(asset, memory.load())
        return asset

    def _recall(self, asset: ScoredAsset, remembered: list[SensorBatch]) -> None:
        """Go on where an earlier process was. Its latest results can be had again; of what was before, the windows are filled."""
        name, learning = asset.name, asset.baseline is None
        behind = sum(len(batch.times) // 8 for batch in remembered)
        for batch in remembered:
            behind -= len(batch.times) // 8
            if behind >= RECALLED_RESULTS:
                asset.recall(batch)
            else:
                asset.score(batch)
        if learning and asset.baseline is not None:
            self._baselines.keep(name, asset.baseline)
        if remembered:
            log.info("%s: goes on with %d remembered batches", name, len(remembered))

    def _look_for_lost(self, now: float) -> None:
        """A file that could not be read may be readable again."""
        if now < self._look_at:
            return
        self._look_at = now + LOST_S
        for name, asset in self._assets.items():
            if asset.withheld:
                with contextlib.suppress(LostBaselineError):
                    baseline = self._baselines.load(name)
                    if baseline is not None:
                        asset.restore(baseline)
                        log.info("%s: its baseline can be read again", name)

    def _unremembered(self) -> tuple[str, ...]:
        faults = [memory.fault for memory in self._memories.values() if memory.fault]
        return (faults[0] + (f" (and {len(faults) - 1} more assets)" if len(faults) > 1 else ""),) if faults else ()

    def _publish(self, blocks: list[bytes]) -> None:
        for payload in blocks:
            self._context.bus.publish(topics.RESULTS, payload)

    def _ask(self, replay: ReplayRequest) -> None:
        self._context.bus.publish(topics.REPLAY, encode(replay))

    def _replay(self, wanted: ReplayRequest) -> None:
        for asset in self._assets.values():
            if wanted.asset in ("", asset.name):
                for payload in asset.history.replay(wanted):
                    self._context.bus.publish(topics.RESULTS, payload)

    def _reset(self, name: str) -> None:
        if name and name not in self._assets:
            known = ", ".join(self._assets) or "none"
            self._seldom.warning("%s: the baseline of an unknown asset cannot be reset; known are %s", visible(name)[:128], known)
            return
        self._baselines.forget(name)
        for asset in self._assets.values():
            if name in ("", asset.name):
                asset.reset()
                self._memories[asset.name].forget()
                self._seldom.info("%s: the baseline is forgotten and learned anew", asset.name)
