"""One asset as Inference sees it: its scorer, its numbered results, and what it has answered."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np

from edgeml.errors import BundleError
from edgeml.messages import MAX_PAYLOAD, OUT_OF_LINE, QUALITY_NAMES, ResultBlock, ResultColumns, SensorBatch, encode
from edgeml.messages.sequencing import ReplayBuffer
from edgeml.model.baseline import Baseline
from edgeml.model.bundle import Bundle, match_channels
from edgeml.model.runtime import Engine
from edgeml.model.scorer import AssetScorer
from edgeml.parsing.sanitize import one_line
from edgeml.timestamps import SECOND
from inference.scoring_coverage import ScoringCoverage

REWIND_S = 300.0
"""A new stream that begins so much before the last scored row is another recording; AlertDispatcher's policy takes it likewise."""
LONGEST_REASON = 400
"""Bytes of why an asset's batches are not judged; it goes with each block of results."""
ANSWERS_KEPT = 64
"""Batches whose answers can be repeated; a source waits with fewer unanswered."""


class ScoredAsset:
    """Turns batches into encoded result blocks.

    Attributes:
        fault: why this asset's data cannot be scored, or empty.
        withheld: why they are not to be scored though they could be, or empty: its baseline is lost.
        tally: how many rows are judged.
        history: its numbered results.
    """

    def __init__(self, name: str, stream: str, bundle: Bundle, engine: Engine, baseline: Baseline | None, replay_buffer_s: float) -> None:
        self._bundle, self._engine = bundle, engine
        self._scorer = AssetScorer(bundle, engine, baseline)
        self._columns: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._order: np.ndarray | None = None
        self._sender, self._epoch = "", 0
        self._last = self._repeated_to = self._step = -1
        self._answers: OrderedDict[tuple[str, int], list[bytes]] = OrderedDict()
        self.name = name
        self.fault = ""
        self.withheld = ""
        self.tally = ScoringCoverage()
        self.history = ReplayBuffer(name, stream, replay_buffer_s)

    @property
    def baseline(self) -> Baseline | None:
        return self._scorer.baseline

    @property
    def learned(self) -> tuple[int, int]:
        """How many good rows it has learned normal running from, and how many it wants."""
        return self._scorer.learned

    def learns_on(self, steps: int) -> bool:
        """Whether learning has begun, or passed another of so many steps, since this was last asked.

        A machine that stands, or whose rows cannot be judged, stays at the same step however many batches it sends.
        """
        count, wanted = self.learned
        step = -1 if self.fault or self.withheld else count * steps // wanted
        passed = step > self._step
        self._step = max(self._step, step)
        return passed

    def reset(self) -> None:
        """Forget what normal running looks like, and learn it anew."""
        self.withheld = ""
        self._step = -1
        self._scorer.reset()

    def restore(self, baseline: Baseline) -> None:
        """Its baseline could be had after all."""
        self.withheld = ""
        self._scorer = AssetScorer(self._bundle, self._engine, baseline)

    def adopt(self, bundle: Bundle, engine: Engine) -> None:
        """From the next batch on, another model of the same windows answers."""
        self._scorer.adopt(bundle, engine)
        self._bundle, self._engine = bundle, engine
        self._columns = None  # an error that names the model is written anew

    def answered(self, batch: SensorBatch) -> list[bytes]:
        """The blocks that answered this batch before, or none."""
        return self._answers.get((batch.stream, batch.seq), [])

    def score(self, batch: SensorBatch, now: float | None = None) -> list[bytes]:
        """The encoded blocks, one or more, with a result for each row of the batch that is new.

        Args:
            now: monotonic time, for the tally; None: these rows were counted before.

        Raises:
            MessageError: the batch is packed wrongly.
        """
        times, values, quality = self._fresh(batch)
        if self._order is None or self.withheld:
            columns, reasons = _refused(times, len(self._bundle.manifest.channels), self.fault or self.withheld, quality)
        else:
            columns, reasons = self._scorer.feed(times, values[:, self._order], quality[:, self._order])
        self._advance(batch, times, quality)
        if now is not None:
            self.tally.take(columns.reason, reasons, now)
        blocks = self._pack(batch, columns, reasons)
        self._answers[(batch.stream, batch.seq)] = blocks
        while len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)
        return blocks

    def recall(self, batch: SensorBatch) -> None:
        """Take in a batch that an earlier process answered, for the windows alone."""
        times, values, quality = self._fresh(batch)
        if self._order is not None and not self.withheld:
            self._scorer.warm(times, values[:, self._order], quality[:, self._order])
        self._advance(batch, times, quality)

    def _fresh(self, batch: SensorBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows of the batch that are no repetition; `_order` is then that of its channels."""
        times, values, quality = batch.arrays()
        sound = batch.in_line(quality)
        line = times if sound is None else times[sound]
        epoch = 0 if batch.epoch is msgspec.UNSET else batch.epoch
        if len(line) and (batch.stream, epoch) != (self._sender, self._epoch):
            self._begin_stream(batch.stream, epoch, int(line[0]))
        if self._repeated_to >= 0:
            known = np.flatnonzero(times > self._repeated_to if sound is None else (times > self._repeated_to) & sound)
            fresh = int(known[0]) if len(known) else len(times)
            times, values, quality = times[fresh:], values[fresh:], quality[fresh:]
            if len(times):
                self._repeated_to = -1
        self._match(batch)
        return times, values, quality

    def _begin_stream(self, stream: str, epoch: int, first: int) -> None:
        """A source that was restarted may repeat rows, which are left out; one that goes far back in time is another recording, and in
        a later epoch of a stream the clock was set back, however far."""
        back = self._last - first
        again = back > REWIND_S * SECOND or (epoch > 0 and back >= 0)
        self._repeated_to = self._last if stream != self._sender else -1
        self._sender, self._epoch = stream, epoch
        if again:
            self._scorer.begin_epoch()
            self._last = self._repeated_to = -1

    def _advance(self, batch: SensorBatch, times: np.ndarray, quality: np.ndarray) -> None:
        """These rows are taken."""
        sound = batch.in_line(quality)
        line = times if sound is None else times[sound]
        if len(line):
            self._last = max(self._last, int(line.max()))

    def _match(self, batch: SensorBatch) -> None:
        if (batch.channels, batch.units) == self._columns:
            return
        self._columns = (batch.channels, batch.units)
        try:
            self._order = match_channels(self._bundle, batch.channels, batch.units)
            self.fault = ""
        except BundleError as fault:
            self._order = None
            self.fault = one_line(f"{self.name}: {fault}", LONGEST_REASON)

    def _pack(self, batch: SensorBatch, columns: ResultColumns, reasons: tuple[str, ...]) -> list[bytes]:
        manifest = self._bundle.manifest
        n = len(columns.times)
        per_row = sum(len(column) for column in columns.packed().values()) // max(n, 1)
        room = MAX_PAYLOAD - 600 - len("".join((*manifest.names, *reasons, self.name)).encode()) - 4 * len(reasons)
        step = max(1, room // max(per_row, 1))
        blocks = []
        for start in range(0, max(n, 1), step):
            part: dict[str, Any] = dict(columns.part(slice(start, start + step)).packed())
            block = ResultBlock(
                asset=self.name,
                stream=self.history.stream,
                seq=self.history.next_seq,
                model=manifest.name,
                model_version=manifest.version,
                digest=self._bundle.digest,
                answers_stream=batch.stream,
                answers_seq=batch.seq,
                complete=start + step >= n,
                channels=manifest.names,
                reasons=reasons,
                epoch=batch.epoch,
                **part,
            )
            payload = encode(block)
            end = min(int(columns.times[min(start + step, n) - 1]), self._last) if n else self._last
            self.history.add(end, payload, self._epoch)
            blocks.append(payload)
        return blocks


def _refused(times: np.ndarray, channels: int, reason: str, quality: np.ndarray) -> tuple[ResultColumns, tuple[str, ...]]:
    n = len(times)
    nan = np.full(n, np.nan, np.float32)
    codes, reasons = np.ones(n, np.uint8), [reason]
    for code in OUT_OF_LINE:
        wrong = (quality == code).any(axis=1)
        if wrong.any():
            reasons.append(QUALITY_NAMES[code])
            codes[wrong] = len(reasons)
    columns = ResultColumns(
        times=times,
        starts=times,
        score=nan,
        confidence=nan,
        reason=codes,
        deviations=np.full((n, channels), np.nan, np.float16),
        took_us=np.zeros((n, 2), np.float32),
    )
    return columns, tuple(reasons)
