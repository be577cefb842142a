"""One asset in Inference: its scorer, its numbered results, and its latest answers."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from edgeml.errors import BundleError
from edgeml.messages import (
    IMPLAUSIBLE_TIME,
    MAX_EXPLANATIONS,
    MAX_PAYLOAD,
    QUALITY_NAMES,
    ResultBlock,
    ResultColumns,
    SensorBatch,
    encode,
    packed_explanations,
)
from edgeml.messages.sequencing import ReplayBuffer
from edgeml.model.baseline import Baseline
from edgeml.model.bundle import Bundle, match_channels
from edgeml.model.explanation import explanations
from edgeml.model.runtime import Engine
from edgeml.model.scorer import AssetScorer
from edgeml.parsing.sanitize import fit, one_line
from edgeml.timestamps import SECOND
from inference.scoring_coverage import ScoringCoverage
from inference.unpacked_batch import UnpackedBatch

REWIND_S = 300.0
"""A new stream that begins this long before the last scored row is another recording, as in AlertDispatcher's policy."""
MAX_REASON_BYTES = 400
"""Of the reason why an asset's batches are not scored; each block of results carries it."""
MAX_ANSWERS = 64
"""Batches whose answers can be repeated; a source has fewer batches in flight."""
MAX_WHY_BYTES = 300
"""Of the explanation of a result."""
WHY_HEAD_BYTES, WHY_TEXT_BYTES = 24, 3
"""Room for the names of the explanations' fields, and for the length of a text."""
HEAD_BYTES = 600
"""Room in a message for all but the columns, the names and the reasons."""


class ScoredAsset:
    """Turns batches into encoded result blocks.

    Attributes:
        fault: the reason why this asset's rows cannot be scored, or empty.
        withheld: the reason why they must not be scored, or empty: its baseline is lost.
        coverage: how many rows are scored.
        replay_buffer: its numbered results.
    """

    def __init__(self, name: str, stream: str, bundle: Bundle, engine: Engine, baseline: Baseline | None, replay_buffer_s: float) -> None:
        self._bundle, self._engine = bundle, engine
        self._scorer = AssetScorer(bundle, engine, baseline)
        self._columns: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._order: np.ndarray | None = None
        self._source_stream, self._epoch = "", 0
        self._last_ns = self._repeated_to_ns = self._step = -1
        self._answers: OrderedDict[tuple[str, int], list[bytes]] = OrderedDict()
        self.name = name
        self.fault = ""
        self.withheld = ""
        self.coverage = ScoringCoverage()
        self.replay_buffer = ReplayBuffer(name, stream, replay_buffer_s)

    @property
    def baseline(self) -> Baseline | None:
        return self._scorer.baseline

    @property
    def holds(self) -> bool:
        """Whether the model holds its reference."""
        return self._scorer.holds

    @property
    def learned(self) -> tuple[int, int]:
        """Good rows that the baseline was learned from so far, and the number that it needs."""
        return self._scorer.learned

    def passed_learning_step(self, steps: int) -> bool:
        """Whether learning has begun, or passed another of so many steps, since the last call.

        A machine that is stopped, or whose rows cannot be scored, stays at the same step however many batches it sends.
        """
        count, needed = self.learned
        step = -1 if self.fault or self.withheld else count * steps // needed
        passed = step > self._step
        self._step = max(self._step, step)
        return passed

    def reset(self) -> None:
        """Forget the baseline, and learn it again."""
        self.withheld = ""
        self._step = -1
        self._scorer.reset()

    def restore(self, baseline: Baseline) -> None:
        """Use a baseline that could not be read before."""
        self.withheld = ""
        self._scorer = AssetScorer(self._bundle, self._engine, baseline)

    def swap_model(self, bundle: Bundle, engine: Engine) -> None:
        """Score with another model of the same windows from the next batch on."""
        self._scorer.swap_model(bundle, engine)
        self._bundle, self._engine = bundle, engine
        self._columns = None  # a fault that names the model is out of date

    def previous_answer(self, batch: SensorBatch) -> list[bytes]:
        """The blocks that answered this batch before, or none."""
        return self._answers.get((batch.stream, batch.seq), [])

    def score(self, unpacked: UnpackedBatch, now: float | None = None) -> list[bytes]:
        """Score the new rows of a batch; returns one or more encoded blocks with a result for each.

        Args:
            now: monotonic time, for the coverage; None: these rows were counted before.
        """
        new = self._new_rows(unpacked)
        if self._order is None or self.withheld:
            columns, reasons = _refused(new.times, len(self._bundle.manifest.channels), self.fault or self.withheld, new.quality)
        else:
            columns, reasons = self._scorer.feed(new.times, new.values[:, self._order], new.quality[:, self._order])
        self._advance(new)
        if now is not None:
            self.coverage.take(columns.reason, reasons, now)
        blocks = self._pack(unpacked.batch, columns, reasons)
        self._answers[(unpacked.batch.stream, unpacked.batch.seq)] = blocks
        while len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        return blocks

    def prefill(self, unpacked: UnpackedBatch) -> None:
        """Fill the windows from a batch that an earlier process answered."""
        new = self._new_rows(unpacked)
        if self._order is not None and not self.withheld:
            self._scorer.warm(new.times, new.values[:, self._order], new.quality[:, self._order])
        self._advance(new)

    def _new_rows(self, unpacked: UnpackedBatch) -> UnpackedBatch:
        """The rows of the batch that are no repetition; `_order` is then that of its channels."""
        times, in_order = unpacked.times, unpacked.in_order
        line = unpacked.times_in_order
        if len(line) and (unpacked.batch.stream, unpacked.epoch) != (self._source_stream, self._epoch):
            self._begin_stream(unpacked.batch.stream, unpacked.epoch, int(line[0]))
        if self._repeated_to_ns >= 0:
            new = times > self._repeated_to_ns
            known = np.flatnonzero(new if in_order is None else new & in_order)
            unpacked = unpacked.from_row(int(known[0]) if len(known) else len(times))
            if len(unpacked.times):
                self._repeated_to_ns = -1
        self._match(unpacked.batch)
        return unpacked

    def _begin_stream(self, stream: str, epoch: int, first_ns: int) -> None:
        """Begin a stream of the source, or a later epoch of it.

        A restarted source may repeat rows, which are left out. A stream that begins far back in time is another recording, and in a later
        epoch the clock was set back, by however little.
        """
        back_ns = self._last_ns - first_ns
        restarts = back_ns > REWIND_S * SECOND or (epoch > 0 and back_ns >= 0)
        self._repeated_to_ns = self._last_ns if stream != self._source_stream else -1
        self._source_stream, self._epoch = stream, epoch
        if restarts:
            self._scorer.begin_epoch()
            self._last_ns = self._repeated_to_ns = -1

    def _advance(self, new: UnpackedBatch) -> None:
        """Note that these rows were taken."""
        line = new.times_in_order
        if len(line):
            self._last_ns = max(self._last_ns, int(line.max()))

    def _match(self, batch: SensorBatch) -> None:
        if (batch.channels, batch.units) == self._columns:
            return
        self._columns = (batch.channels, batch.units)
        try:
            self._order = match_channels(self._bundle, batch.channels, batch.units)
            self.fault = ""
        except BundleError as fault:
            self._order = None
            self.fault = one_line(f"{self.name}: {fault}", MAX_REASON_BYTES)

    def _pack(self, batch: SensorBatch, columns: ResultColumns, reasons: tuple[str, ...]) -> list[bytes]:
        manifest = self._bundle.manifest
        n = len(columns.times)
        names = len("".join((*manifest.names, *reasons, self.name)).encode())
        room = MAX_PAYLOAD - HEAD_BYTES - names - 4 * len(reasons)
        texts = [fit(text, MAX_WHY_BYTES) for text in explanations(manifest, columns)] if manifest.explains else None
        blocks = []
        for start, end in _spans(n, room, columns.row_bytes, texts):
            block = ResultBlock(
                asset=self.name,
                stream=self.replay_buffer.stream,
                seq=self.replay_buffer.next_seq,
                model=manifest.name,
                model_version=manifest.version,
                digest=self._bundle.digest,
                answers_stream=batch.stream,
                answers_seq=batch.seq,
                complete=end >= n,
                channels=manifest.names,
                reasons=reasons,
                epoch=batch.epoch,
                **columns.packed(slice(start, end)),  # type: ignore[arg-type]
                **({} if texts is None else packed_explanations(texts[start:end])),
            )
            payload = encode(block)
            end_ns = min(int(columns.times[end - 1]), self._last_ns) if n else self._last_ns
            self.replay_buffer.add(end_ns, payload, self._epoch)
            blocks.append(payload)
        return blocks


def _spans(n: int, room: int, row_bytes: int, texts: list[str] | None) -> list[tuple[int, int]]:
    """First row and end of each block of n results, so that a block has at most `room` bytes of rows and texts; at least one block."""
    if texts is None:
        step = max(1, room // row_bytes)
        return [(start, min(start + step, n)) for start in range(0, max(n, 1), step)]
    spans, start, used = [], 0, WHY_HEAD_BYTES
    seen: set[str] = set()
    for row, text in enumerate(texts):
        cost = 0 if not text or text in seen else len(text.encode()) + WHY_TEXT_BYTES
        if row > start and (used + row_bytes + 1 + cost > room or (cost and len(seen) == MAX_EXPLANATIONS)):
            spans.append((start, row))
            start, used, seen = row, WHY_HEAD_BYTES, set()
            cost = len(text.encode()) + WHY_TEXT_BYTES if text else 0
        used += row_bytes + 1 + cost
        seen |= {text} if text else set()
    return [*spans, (start, n)]


def _refused(times: np.ndarray, channels: int, reason: str, quality: np.ndarray) -> tuple[ResultColumns, tuple[str, ...]]:
    n = len(times)
    nan = np.full(n, np.nan, np.float32)
    codes, reasons = np.ones(n, np.uint8), [reason]
    for code in IMPLAUSIBLE_TIME:
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
        latency_us=np.zeros((n, 2), np.float32),
    )
    return columns, tuple(reasons)
