"""One asset: rows from its source become numbered batches, kept until they are answered and for replays."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeml.backoff import Backoff
from edgeml.errors import MessageError, SourceError
from edgeml.messages import MAX_PAYLOAD, Command, CommandAck, Release, ReplayRequest, ResultBlock, SensorBatch, decode, encode
from edgeml.messages.sequencing import ReplayBuffer, new_stream
from edgeml.timestamps import Moment, age_s, boot_id, to_iso
from sensor_ingestion import options
from sensor_ingestion.checkpoint import Checkpoint, CheckpointData, SentBatch
from sensor_ingestion.command_handler import CommandHandler
from sensor_ingestion.command_journal import CommandJournal
from sensor_ingestion.quality import QualityChecker
from sensor_ingestion.sources import SOURCES
from sensor_ingestion.sources.base import Channel, Clocks, RowBlock, Source
from sensor_ingestion.time_faults import TimeFaults

log = logging.getLogger(__name__)

MAX_BATCHES_AT_ONCE = 4
"""Batches sent before the component handles its messages again."""
RESENT_BATCHES = 15
"""Batches sent again after a restart if no answers are expected. A consumer that lacks more requests them."""
MAX_FORMER_STREAMS = 8
"""Earlier streams, of a source that cannot rewind, whose consumers are answered by number."""
RESEND_FIRST_S, RESEND_MAX_S = 3.0, 15.0


class PipelineState(msgspec.Struct):
    """The state that is saved with each batch.

    Attributes:
        next: sequence number of the next batch.
        event_ns: event time of the latest row in order.
        source, quality: states of the source and the quality checker; `source` is None if the source cannot rewind.
        answered: the last batch with results.
        last_executed_id: id of the last command that the machine executed.
        executed: commands that a version before kept here.
        former: earlier streams, each with the number at which it ended.
    """

    stream: str
    next: int
    event_ns: int
    source: dict[str, Any] | None = None
    quality: dict[str, Any] | None = None
    answered: int = -1
    last_executed_id: str = msgspec.field(default="", name="obeyed")  # the name on disk
    executed: dict[str, str] = {}
    former: dict[str, int] = {}


class AssetPipeline:
    """Reads rows, flags them, numbers and sends the batches, and keeps them for replays.

    Attributes:
        lag_s: the age of the latest row by its event time, when it was read; None before the first.

    Args:
        send: publishes an encoded batch.
        journal: outcomes of commands.
        capture: captures a batch; None: no capture.

    Raises:
        SourceError: its source cannot be opened, or has no action of the name `lockout_after`.
    """

    def __init__(
        self,
        name: str,
        asset_options: options.AssetOptions,
        work: Path,
        clocks: Clocks,
        send: Callable[[bytes], object],
        journal: CommandJournal,
        capture: Callable[[SensorBatch], object] | None = None,
    ) -> None:
        self.name = name
        self.fault = ""
        self.lag_s: float | None = None
        self._row_at = clocks.monotonic()
        self._clocks, self._send, self._capture = clocks, send, capture
        source_options = asset_options.source_options()
        self._checkpoint = Checkpoint(work, name, [asset_options.source, msgspec.to_builtins(source_options)])
        saved = self._checkpoint.load()
        self.source, state = _open(asset_options.source, source_options, clocks, saved, name)
        if state is None:
            self._checkpoint.delete()
        try:
            self._channels = _with_options(self.source.channels, asset_options.quality, name)
            quality = asset_options.quality
            self._checker = QualityChecker(
                self._channels, quality.max_gap_s, quality.stopped_channel, quality.stopped_below, quality.step_back_s, quality.ahead_s
            )
            self._time_faults = TimeFaults(name, quality.ahead_s)
            self.awaits_answers = self.source.paced and asset_options.max_in_flight > 0
            self._max_in_flight = asset_options.max_in_flight if self.awaits_answers else 0
            self._keeps_batches = asset_options.replay_buffer_s > 0
            # Rows that cannot be read again may have been sent under numbers that are not on the disk: other rows need another stream.
            continues = state is not None and state.source is not None
            self._former: dict[str, int] = {}
            if state is not None and not continues:
                self._former = dict([*state.former.items(), (state.stream, state.next)][-MAX_FORMER_STREAMS:])
            stream = state.stream if state is not None and continues else new_stream()
            self._replay_buffer = ReplayBuffer(name, stream, asset_options.replay_buffer_s, former=self._former)
            self._in_flight: deque[SentBatch] = deque()
            self._event_ns = state.event_ns if state is not None else 0
            self._commands = self._open_commands(asset_options, journal, state)
            self._backoff = Backoff(RESEND_FIRST_S, RESEND_MAX_S)
            self._resend_at = 0.0
            self._batch_rows = min(asset_options.batch_rows, self._rows_in_message())
            if state is not None and saved is not None:
                self._resume(state, saved.batches)
        except BaseException:
            self.source.close()
            raise

    @property
    def finished(self) -> bool:
        """Every row is sent, and answered if answers are expected."""
        return self.source.finished and not (self.awaits_answers and self._in_flight)

    @property
    def unanswered(self) -> int:
        """Batches without an answer, if answers are expected."""
        return len(self._in_flight) if self.awaits_answers else 0

    def row_age_s(self, now: float) -> float | None:
        """Seconds of the clock since its source read a row; None while none is expected: it has ended, or waits for answers."""
        return None if self.source.finished or self._blocked() else now - self._row_at

    @property
    def faults(self) -> tuple[str, ...]:
        """Faults of its input, its clock and its disk, one sentence each."""
        clock = self._time_faults.fault(self._clocks.monotonic())
        own = tuple(f"{self.name}: {fault}" for fault in (*self.source.faults, self.fault, clock) if fault)
        return (*own, self._commands.lockout) if self._commands.lockout else own

    def tick(self, now: float) -> float:
        """Send the rows that are due; returns the seconds until the next call."""
        for _ in range(MAX_BATCHES_AT_ONCE):
            if self.source.finished or self._blocked():
                break
            block = self.source.read(now, self._batch_rows)
            if block is None:
                break
            self._publish(block, now)
        wait = self._resend(now)
        if self.source.finished or self._blocked():
            return wait
        return min(wait, self.source.wait(now, self._batch_rows))

    def take_results(self, results: ResultBlock, now: float) -> None:
        """Note that a batch, and those before it, are answered."""
        if not self.awaits_answers or not results.complete or results.answers_stream != self._replay_buffer.stream:
            return
        while self._in_flight and self._in_flight[0].seq <= results.answers_seq:
            self._in_flight.popleft()
            self._backoff.reset()
            self._resend_at = now + self._backoff.next()
        if self.finished:
            self._save()

    def command(self, command: Command) -> CommandAck | None:
        """Execute a command; None if the source executes no commands."""
        now = Moment(self._clocks.wall_ns(), self._clocks.monotonic(), boot_id())
        return self._commands.take(command, now, self._event_ns)

    def release(self, release: Release) -> None:
        """End the machine's lockout."""
        self._commands.release(release)

    def position(self) -> tuple[str, str, int]:
        """Its stream, its name and the sequence number of its next batch."""
        return self._replay_buffer.stream, self.name, self._replay_buffer.next_seq

    def replay(self, request: ReplayRequest) -> Iterator[bytes]:
        """The encoded messages that answer a request."""
        return self._replay_buffer.replay(request)

    def resend(self) -> None:
        """Send the batches in flight, or the last ones, again."""
        for sent in self._in_flight:
            self._send(sent.payload)

    def close(self) -> None:
        self._save()
        self.source.close()

    def _open_commands(self, asset_options: options.AssetOptions, journal: CommandJournal, state: PipelineState | None) -> CommandHandler:
        actions, lockout_after = self.source.actions, asset_options.lockout_after
        if lockout_after and lockout_after not in actions:
            known = f"its actions are {', '.join(sorted(actions))}" if actions else "it executes no commands"
            raise SourceError(f"`assets.{self.name}.lockout_after` is {lockout_after!r}, which is no action of its source; {known}")
        # Without a checkpoint the earlier commands of a machine in this process are unknown.
        last_executed_id = state.last_executed_id if state is not None and SOURCES[asset_options.source].in_process else None
        handler = CommandHandler(self.name, actions, journal, lockout_after, lambda: self._save(durable=True), last_executed_id)
        if state is not None and state.executed:
            handler.import_executed(state.executed)
        return handler

    def _blocked(self) -> bool:
        return self.awaits_answers and len(self._in_flight) >= self._max_in_flight

    def _publish(self, block: RowBlock, now: float) -> None:
        if self.lag_s is None:
            log.info("%s: the first row is of %s: %s", self.name, to_iso(int(block.times[0])), self._shown(block))
        wall_ns, timeline = self._clocks.wall_ns(), self._checker.timeline
        before, epoch = timeline.latest, timeline.epoch
        parts = self._checker.parts(block.times, block.values, None if self.source.own_time else wall_ns)
        clock_ns = None if self.source.own_time else wall_ns
        self._time_faults.check(timeline, before, timeline.epoch > epoch, block.times, clock_ns, now)
        self._event_ns = int(block.times[-1]) if timeline.latest is None else timeline.latest
        self._row_at, self.lag_s = now, age_s(wall_ns, self._event_ns)
        if self.awaits_answers and not self._in_flight:
            self._backoff.reset()
            self._resend_at = now + self._backoff.next()
        batches = []
        for part in parts:
            batch = self._batch(RowBlock(block.times[part.rows], block.values[part.rows]), part.quality, part.epoch)
            sent = SentBatch(batch.seq, part.end_ns, encode(batch))
            self._replay_buffer.add(sent.end_ns, sent.payload, part.epoch)
            self._in_flight.append(sent)
            batches.append(sent)
            if not self.awaits_answers and len(self._in_flight) > RESENT_BATCHES:
                self._in_flight.popleft()
            # Captured before it is saved: if the process dies in between, the rows are read again, and the capture knows their number.
            if self._capture is not None:
                self._capture(batch)
        # Saved before it is sent: if the process dies in between, it is sent again under the same number.
        self._save(*batches)
        for sent in batches:
            self._send(sent.payload)

    def _shown(self, block: RowBlock) -> str:
        """The first row, for people."""
        return ", ".join(
            f"{channel.name} {value:.4g} {channel.unit}".rstrip() for channel, value in zip(self._channels, block.values[0], strict=True)
        )

    def _batch(self, block: RowBlock, quality: np.ndarray | None, epoch: int = 0) -> SensorBatch:
        names = tuple(channel.name for channel in self._channels)
        units = tuple(channel.unit for channel in self._channels)
        stream, seq = self._replay_buffer.stream, self._replay_buffer.next_seq
        return SensorBatch.of(self.name, stream, seq, names, units, block.times, block.values, quality, epoch)

    def _rows_in_message(self) -> int:
        """Number of rows that fit into one message."""
        channels = len(self._channels)
        empty = self._batch(RowBlock(np.empty(0, np.int64), np.empty((0, channels), "f4")), None)
        spare = 48  # for longer lengths and numbers, and the epoch
        rows = (MAX_PAYLOAD - spare - len(encode(empty))) // (8 + 5 * channels)
        if rows < 1:
            raise SourceError(
                f"{self.name}: one row of {channels} channels does not fit into a message of {MAX_PAYLOAD} bytes; "
                "split the channels among several assets"
            )
        return rows

    def _resend(self, now: float) -> float:
        if not self.awaits_answers or not self._in_flight:
            return 1.0
        if now >= self._resend_at:
            log.info("%s: %d batches have no results yet; they are sent again", self.name, len(self._in_flight))
            self.resend()
            self._resend_at = now + self._backoff.next()
        return self._resend_at - now

    def _save(self, *batches: SentBatch, durable: bool = False) -> None:
        source = self.source.checkpoint()
        if source is None and not (batches and self._keeps_batches):
            return
        state: dict[str, Any] = {
            "stream": self._replay_buffer.stream,
            "next": self._replay_buffer.next_seq,
            "event_ns": self._event_ns,
            "quality": self._checker.state(),
        }
        if self._former:
            state["former"] = self._former
        oldest = min(self._replay_buffer.oldest, self._in_flight[0].seq if self._in_flight else self._replay_buffer.next_seq)
        if source is not None:
            answered = (self._in_flight[0].seq if self._in_flight else self._replay_buffer.next_seq) - 1
            state |= {"source": source, "answered": answered, "obeyed": self._commands.last_executed_id}
        try:
            self._checkpoint.save(state, batches, oldest, durable)
            self.fault = ""
        except OSError as fault:
            if not self.fault:
                log.error("%s", fault)
            self.fault = (
                f"{self._checkpoint.path} cannot be written ({fault.strerror}); free some space, or a restart repeats or loses rows"
            )

    def _resume(self, state: PipelineState, batches: Sequence[SentBatch]) -> None:
        if state.quality is not None:
            self._checker.resume(state.quality)
        if state.source is None:
            # Another stream begins with an epoch of its own.
            batches = _moved_to_stream(batches, self._replay_buffer.stream)
            self._checker.timeline.epoch = 0
        for sent in batches:
            self._replay_buffer.continue_at(sent.seq)
            self._replay_buffer.add(sent.end_ns, sent.payload, self._checker.timeline.epoch)
            # Batches of an earlier process under another stream are sent on request only: unasked, they would look like a restarted source.
            if state.source is not None and (not self.awaits_answers or sent.seq > state.answered):
                self._in_flight.append(sent)
        while not self.awaits_answers and len(self._in_flight) > RESENT_BATCHES:
            self._in_flight.popleft()
        self._replay_buffer.continue_at(state.next)
        self._resend_at = self._clocks.monotonic() + self._backoff.next()
        if self.finished:
            log.info("%s: its source has already finished; delete %s to start again", self.name, self._checkpoint.path)


def _moved_to_stream(batches: Sequence[SentBatch], stream: str) -> list[SentBatch]:
    """The latest batches of one epoch, as those of the first epoch of another stream.

    The last epoch of a stream continues as the first of the next: each stream counts from 0, while the timeline continues.
    """
    kept: list[SentBatch] = []
    later: SensorBatch | None = None
    for sent in reversed(batches):
        with suppress(MessageError):
            batch = decode(sent.payload)
            if not isinstance(batch, SensorBatch) or (later is not None and not _one_epoch(batch, later)):
                break
            later = batch
            kept.append(sent._replace(payload=encode(msgspec.structs.replace(batch, stream=stream, epoch=msgspec.UNSET))))
    return kept[::-1]


def _one_epoch(batch: SensorBatch, later: SensorBatch) -> bool:
    return (batch.epoch or 0) == (later.epoch or 0) if batch.stream == later.stream else not later.epoch


def _open(kind: str, source_options: Any, clocks: Clocks, saved: CheckpointData | None, name: str) -> tuple[Source, PipelineState | None]:
    if saved is not None:
        try:
            state = msgspec.convert(saved.state, PipelineState)
            source = SOURCES[kind].make(source_options, clocks, state.source)
            try:
                if state.quality is not None:
                    QualityChecker(source.channels).resume(state.quality)
            except BaseException:
                source.close()
                raise
            return source, state
        except (LookupError, TypeError, ValueError, ArithmeticError, msgspec.ValidationError, RecursionError) as fault:
            log.warning("%s: its checkpoint is invalid (%r) and is ignored; it starts from the beginning", name, fault)
    return SOURCES[kind].make(source_options, clocks, None), None


def _with_options(channels: Sequence[Channel], quality: options.QualityOptions, asset: str) -> tuple[Channel, ...]:
    names = [channel.name for channel in channels]
    unknown = [name for name in quality.channels if name not in names]
    if unknown:
        raise SourceError(
            f"`assets.{asset}.quality.channels` names {', '.join(unknown)}, which the source does not have; its channels "
            f"are {', '.join(names)}"
        )
    changed = []
    for channel in channels:
        channel_options = quality.channels.get(channel.name)
        given = msgspec.structs.asdict(channel_options) if channel_options is not None else {}
        changed.append(channel._replace(**{key: value for key, value in given.items() if value is not None}))
    return tuple(changed)
