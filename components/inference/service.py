"""The component's work: each sensor batch is answered by result blocks, and both can be had again."""

from __future__ import annotations

import logging

from edgeml import topics
from edgeml.app import Context
from edgeml.health import Vitals
from edgeml.messages import KeepAlive, Message, Replay, Replaying, ResetBaseline, SensorBatch, Status, encode
from edgeml.noise import RateLimited
from edgeml.printable import printable
from edgeml.scoring import same_windows
from edgeml.streams import Pulse, Receiver, new_stream
from edgeml.times import age_s
from inference.asset import Asset
from inference.baselines import Baselines
from inference.memory import Memory
from inference.model import Models
from inference.options import Options

log = logging.getLogger(__name__)

LEARNING_STEPS = 4
"""So often it is said how far learning has come."""
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

    def __init__(self, context: Context, options: Options) -> None:
        self._context, self._options = context, options
        self._seldom = RateLimited(log, context.monotonic)
        self._models = Models(context, options)
        self._model = self._models.first()
        self._begin()
        self._pulse = Pulse(lambda payload: context.bus.publish(topics.RESULTS, payload))
        self._lag_s: float | None = None

    def start(self) -> None:
        self._receiver.ask_again()

    def on_message(self, topic: str, message: Message) -> None:
        if isinstance(message, SensorBatch):
            self._batch(message)
        elif isinstance(message, Replaying) and topic == topics.SENSORS:
            self._receiver.replaying(message)
        elif isinstance(message, KeepAlive) and topic == topics.SENSORS:
            self._receiver.keep_alive(message)
        elif isinstance(message, Replay) and message.topic == topics.RESULTS:
            self._replay(message)
        elif isinstance(message, ResetBaseline):
            self._reset(message.asset)

    def tick(self, now: float) -> float:
        self._renew()
        if not self._assets:
            return self._pulse.tick(now, self._stream)
        return min(self._pulse.tick(now, self._stream, asset.name, asset.history.next_seq) for asset in self._assets.values())

    def status(self) -> Status:
        faults = tuple(fault for fault in (self._models.fault, *(asset.fault for asset in self._assets.values())) if fault)
        return Status(component=self._context.component, state="running", faults=faults)

    def vitals(self) -> Vitals:
        return Vitals(self._lag_s, drops={"sensor batches lost on the way": self._lost} if self._lost else {})

    def close(self) -> None:
        pass

    def _begin(self) -> None:
        """A stream of its own, in which nothing is known of any asset."""
        self._baselines = Baselines(self._context.work / "baselines", self._model.bundle.manifest)
        self._stream = new_stream()
        self._assets: dict[str, Asset] = {}
        self._memories: dict[str, Memory] = {}
        self._receiver = Receiver(topics.SENSORS, self._ask, self._context.monotonic)
        self._lost = 0

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
        times, _, _ = batch.arrays()
        asset = self._assets.get(batch.asset) or self._add(batch.asset)
        if not self._receiver.accept(batch.asset, batch.stream, batch.seq, int(times[-1]) if len(times) else 0):
            # A source repeats a batch whose answer it did not get.
            self._publish(asset.answered(batch))
            return
        if self._receiver.lost != self._lost:
            self._seldom.warning("%d sensor batches were lost so far", self._receiver.lost)
            self._lost = self._receiver.lost
        if len(times):
            self._lag_s = age_s(self._context.wall_ns(), int(times[-1]))
        blocks = self._score(asset, batch)
        # Before it is answered: the source forgets what is.
        self._memories[batch.asset].keep(batch)
        self._publish(blocks)

    def _score(self, asset: Asset, batch: SensorBatch) -> list[bytes]:
        learning, (before, wanted) = asset.baseline is None, asset.learned
        blocks = asset.score(batch)
        if learning and asset.baseline is not None:
            self._baselines.keep(batch.asset, asset.baseline)
            log.info("%s: the baseline is learned", batch.asset)
        elif learning and (not before or before * LEARNING_STEPS // wanted < asset.learned[0] * LEARNING_STEPS // wanted):
            log.info("%s: learning what is normal, %d of %d good rows", batch.asset, *asset.learned)
        return blocks

    def _add(self, name: str) -> Asset:
        baseline = self._baselines.load(name)
        asset = self._assets[name] = Asset(
            name, self._stream, self._model.bundle, self._model.engine, baseline, self._options.history_s
        )
        # The oldest step of a view is a mean of rows from before it.
        longest = max(view.rows + view.every for view in self._model.bundle.manifest.views)
        memory = self._memories[name] = Memory(self._context.work / "rows", name, longest)
        self._recall(asset, memory.load())
        return asset

    def _recall(self, asset: Asset, remembered: list[SensorBatch]) -> None:
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
            last = remembered[-1]
            self._receiver.resume(name, last.stream, last.seq + 1, int(last.arrays()[0].max(initial=0)))
            log.info("%s: goes on with %d remembered batches", name, len(remembered))

    def _publish(self, blocks: list[bytes]) -> None:
        for payload in blocks:
            self._context.bus.publish(topics.RESULTS, payload)

    def _ask(self, replay: Replay) -> None:
        self._context.bus.publish(topics.REPLAY, encode(replay))

    def _replay(self, wanted: Replay) -> None:
        for asset in self._assets.values():
            if wanted.asset in ("", asset.name):
                for payload in asset.history.replay(wanted.since):
                    self._context.bus.publish(topics.RESULTS, payload)

    def _reset(self, name: str) -> None:
        if name and name not in self._assets:
            known = ", ".join(self._assets) or "none"
            self._seldom.warning("%s: the baseline of an unknown asset cannot be reset; known are %s", printable(name)[:128], known)
            return
        self._baselines.forget(name)
        for asset in self._assets.values():
            if name in ("", asset.name):
                asset.reset()
                self._memories[asset.name].forget()
                self._seldom.info("%s: the baseline is forgotten and learned anew", asset.name)
