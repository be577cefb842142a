"""One machine: rows from its source become numbered batches, kept until they are answered and for replays."""

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

AT_ONCE = 4
"""Batches sent before the component looks at its messages again."""
SENT_AGAIN = 15
"""Batches that are sent again after a restart when nobody's answers are awaited. A consumer that lacks more asks for it."""
FORMER_STREAMS = 8
"""Earlier streams of a source that cannot go back whose consumers are answered by number."""
RESEND_FIRST_S, RESEND_LONGEST_S = 3.0, 15.0


class PipelineState(msgspec.Struct):
    """What is saved with each batch; `source` and `quality` are for these to judge. `source` is None where it cannot go back, while the
    line of its times goes on all the same, and `former` names the streams of before, each with the number at which it ended."""

    stream: str
    next: int
    event_ns: int
    source: dict[str, Any] | None = None
    quality: dict[str, Any] | None = None
    answered: int = -1
    obeyed: str = ""
    executed: dict[str, str] = {}
    former: dict[str, int] = {}


class AssetPipeline:
    """Reads, judges, numbers, sends, and remembers.

    Attributes:
        lag_s: the age of the latest row by its event time when it was read; None before the first.

    Args:
        send: publishes an encoded batch.
        journal: what became of commands.
        keep: captures a batch; None: nothing is captured.

    Raises:
        SourceError: its source cannot be opened, or cannot do what is to latch it.
    """

    def __init__(
        self,
        name: str,
        wanted: options.AssetOptions,
        work: Path,
        clocks: Clocks,
        send: Callable[[bytes], object],
        journal: CommandJournal,
        keep: Callable[[SensorBatch], object] | None = None,
    ) -> None:
        self.name = name
        self.fault = ""
        self.lag_s: float | None = None
        self._row_at = clocks.monotonic()
        self._clocks, self._send, self._keep = clocks, send, keep
        own = wanted.source_options()
        self._checkpoint = Checkpoint(work, name, [wanted.source, msgspec.to_builtins(own)])
        remembered = self._checkpoint.load()
        self.source, state = _open(wanted.source, own, clocks, remembered, name)
        if state is None:
            self._checkpoint.forget()
        self._channels = _overridden(self.source.channels, wanted.quality, name)
        quality = wanted.quality
        self._checker = QualityChecker(
            self._channels, quality.max_gap_s, quality.stopped_channel, quality.stopped_below, quality.step_back_s, quality.ahead_s
        )
        self._timing = TimeFaults(name, quality.ahead_s)
        self.awaits_answers = self.source.paced and wanted.max_in_flight > 0
        self._bound = wanted.max_in_flight if self.awaits_answers else 0
        self._remembers = wanted.replay_buffer_s > 0
        # Rows that cannot be read again may have been sent under numbers that are not on the disk: other rows need another stream.
        goes_on = state is not None and state.source is not None
        self._former: dict[str, int] = {}
        if state is not None and not goes_on:
            self._former = dict([*state.former.items(), (state.stream, state.next)][-FORMER_STREAMS:])
        stream = state.stream if state is not None and goes_on else new_stream()
        self._history = ReplayBuffer(name, stream, wanted.replay_buffer_s, former=self._former)
        self._pending: deque[SentBatch] = deque()
        self._event_ns = state.event_ns if state is not None else 0
        self._desk = self._open_desk(wanted, journal, state)
        self._backoff = Backoff(RESEND_FIRST_S, RESEND_LONGEST_S)
        self._resend_at = 0.0
        self._rows = min(wanted.batch_rows, self._room())
        if state is not None and remembered is not None:
            self._resume(state, remembered.batches)

    @property
    def finished(self) -> bool:
        """Every row is sent, and answered where answers are awaited."""
        return self.source.finished and not (self.awaits_answers and self._pending)

    @property
    def unanswered(self) -> int:
        """Batches whose answers are awaited."""
        return len(self._pending) if self.awaits_answers else 0

    def quiet_s(self, now: float) -> float | None:
        """Seconds of the clock since its source gave a row; None while none is to be expected: it has ended, or waits for answers."""
        return None if self.source.finished or self._blocked() else now - self._row_at

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences about bad input and the like."""
        clock = self._timing.fault(self._clocks.monotonic())
        own = tuple(f"{self.name}: {fault}" for fault in (*self.source.faults, self.fault, clock) if fault)
        return (*own, self._desk.latched) if self._desk.latched else own

    def tick(self, now: float) -> float:
        """Send what is due; returns the seconds until it wants to be called again."""
        for _ in range(AT_ONCE):
            if self.source.finished or self._blocked():
                break
            block = self.source.read(now, self._rows)
            if block is None:
                break
            self._take(block, now)
        wait = self._resend(now)
        if self.source.finished or self._blocked():
            return wait
        return min(wait, self.source.wait(now, self._rows))

    def answered(self, results: ResultBlock, now: float) -> None:
        """Results came: the batch they answer, and those before it, need not be kept any longer."""
        if not self.awaits_answers or not results.complete or results.answers_stream != self._history.stream:
            return
        while self._pending and self._pending[0].seq <= results.answers_seq:
            self._pending.popleft()
            self._backoff.reset()
            self._resend_at = now + self._backoff.next()
        if self.finished:
            self._save()

    def command(self, command: Command) -> CommandAck | None:
        """Do what is commanded; None when this machine hears no commands."""
        now = Moment(self._clocks.wall_ns(), self._clocks.monotonic(), boot_id())
        return self._desk.take(command, now, self._event_ns)

    def release(self, release: Release) -> None:
        """A person lets the machine be commanded again."""
        self._desk.release(release)

    def position(self) -> tuple[str, str, int]:
        """Its stream, its name and the number of its next batch."""
        return self._history.stream, self.name, self._history.next_seq

    def replay(self, wanted: ReplayRequest) -> Iterator[bytes]:
        """Encoded messages: what is wanted of what is still had."""
        return self._history.replay(wanted)

    def resend(self) -> None:
        """Send what is unanswered, or was last sent, once more."""
        for sent in self._pending:
            self._send(sent.payload)

    def close(self) -> None:
        self._save()
        self.source.close()

    def _open_desk(self, wanted: options.AssetOptions, journal: CommandJournal, state: PipelineState | None) -> CommandHandler:
        actions, lockout_after = self.source.actions, wanted.lockout_after
        if lockout_after and lockout_after not in actions:
            there = f"it can {', '.join(sorted(actions))}" if actions else "it hears no commands"
            raise SourceError(f"`assets.{self.name}.lockout_after` is {lockout_after!r}, which its source cannot do; {there}")
        # Without a checkpoint nothing is known of what a machine in this process did before.
        obeyed = state.obeyed if state is not None and SOURCES[wanted.source].inside else None
        desk = CommandHandler(self.name, actions, journal, lockout_after, lambda: self._save(durable=True), obeyed)
        if state is not None and state.executed:
            desk.adopt(state.executed)
        return desk

    def _blocked(self) -> bool:
        return self.awaits_answers and len(self._pending) >= self._bound

    def _take(self, block: RowBlock, now: float) -> None:
        if self.lag_s is None:
            log.info("%s: the first row is of %s: %s", self.name, to_iso(int(block.times[0])), self._shown(block))
        wall_ns, timeline = self._clocks.wall_ns(), self._checker.timeline
        before, epoch = timeline.latest, timeline.epoch
        parts = self._checker.parts(block.times, block.values, None if self.source.own_time else wall_ns)
        clock_ns = None if self.source.own_time else wall_ns
        self._timing.look(timeline, before, timeline.epoch > epoch, block.times, clock_ns, now)
        self._event_ns = int(block.times[-1]) if timeline.latest is None else timeline.latest
        self._row_at, self.lag_s = now, age_s(wall_ns, self._event_ns)
        if self.awaits_answers and not self._pending:
            self._backoff.reset()
            self._resend_at = now + self._backoff.next()
        made = []
        for part in parts:
            batch = self._batch(RowBlock(block.times[part.rows], block.values[part.rows]), part.quality, part.epoch)
            sent = SentBatch(batch.seq, part.end_ns, encode(batch))
            self._history.add(sent.end_ns, sent.payload, part.epoch)
            self._pending.append(sent)
            made.append(sent)
            if not self.awaits_answers and len(self._pending) > SENT_AGAIN:
                self._pending.popleft()
            # Captured before it is saved: a process that dies in between reads it again, and the capture knows its number.
            if self._keep is not None:
                self._keep(batch)
        # Saved before it is sent: a process that dies in between sends it again, under the same number.
        self._save(*made)
        for sent in made:
            self._send(sent.payload)

    def _shown(self, block: RowBlock) -> str:
        """Its first row, for people."""
        return ", ".join(
            f"{channel.name} {value:.4g} {channel.unit}".rstrip() for channel, value in zip(self._channels, block.values[0], strict=True)
        )

    def _batch(self, block: RowBlock, quality: np.ndarray | None, epoch: int = 0) -> SensorBatch:
        names = tuple(channel.name for channel in self._channels)
        units = tuple(channel.unit for channel in self._channels)
        stream, seq = self._history.stream, self._history.next_seq
        return SensorBatch.of(self.name, stream, seq, names, units, block.times, block.values, quality, epoch)

    def _room(self) -> int:
        """Rows that one message holds."""
        channels = len(self._channels)
        empty = self._batch(RowBlock(np.empty(0, np.int64), np.empty((0, channels), "f4")), None)
        spare = 48  # the lengths and the number grow by some bytes, and the epoch may come
        rows = (MAX_PAYLOAD - spare - len(encode(empty))) // (8 + 5 * channels)
        if rows < 1:
            raise SourceError(
                f"{self.name}: one row of {channels} channels does not fit into a message of {MAX_PAYLOAD} bytes; "
                "split the channels among several assets"
            )
        return rows

    def _resend(self, now: float) -> float:
        if not self.awaits_answers or not self._pending:
            return 1.0
        if now >= self._resend_at:
            log.info("%s: %d batches have no results yet; sending them again", self.name, len(self._pending))
            self.resend()
            self._resend_at = now + self._backoff.next()
        return self._resend_at - now

    def _save(self, *batches: SentBatch, durable: bool = False) -> None:
        source = self.source.checkpoint()
        if source is None and not (batches and self._remembers):
            return
        state: dict[str, Any] = {
            "stream": self._history.stream,
            "next": self._history.next_seq,
            "event_ns": self._event_ns,
            "quality": self._checker.state(),
        }
        if self._former:
            state["former"] = self._former
        oldest = min(self._history.oldest, self._pending[0].seq if self._pending else self._history.next_seq)
        if source is not None:
            answered = (self._pending[0].seq if self._pending else self._history.next_seq) - 1
            state |= {"source": source, "answered": answered, "obeyed": self._desk.obeyed}
        try:
            self._checkpoint.save(state, batches, oldest, durable)
            self.fault = ""
        except OSError as fault:
            if not self.fault:
                log.error("%s", fault)
            self.fault = f"{self._checkpoint.path} cannot be written ({fault.strerror}); make room, or a restart repeats or loses rows"

    def _resume(self, state: PipelineState, batches: Sequence[SentBatch]) -> None:
        if state.quality is not None:
            self._checker.resume(state.quality)
        if state.source is None:
            # Another stream begins with an epoch of its own; what was kept of those before is not wanted any more.
            batches = _renamed(batches, self._history.stream)
            self._checker.timeline.epoch = 0
        for sent in batches:
            self._history.continue_at(sent.seq)
            self._history.add(sent.end_ns, sent.payload, self._checker.timeline.epoch)
            # What is kept for another stream is told by its time, and by who asks: unasked, it would look like a source that begins anew.
            if state.source is not None and (not self.awaits_answers or sent.seq > state.answered):
                self._pending.append(sent)
        while not self.awaits_answers and len(self._pending) > SENT_AGAIN:
            self._pending.popleft()
        self._history.continue_at(state.next)
        self._resend_at = self._clocks.monotonic() + self._backoff.next()
        if self.finished:
            log.info("%s: its source has finished before; delete %s to begin anew", self.name, self._checkpoint.path)


def _renamed(batches: Sequence[SentBatch], stream: str) -> list[SentBatch]:
    """The latest batches, all of one epoch, as those of another stream's first.

    The first epoch of a stream is the last of the stream before: each begins to count anew, while the line of the times goes on.
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


def _open(kind: str, own: Any, clocks: Clocks, remembered: CheckpointData | None, name: str) -> tuple[Source, PipelineState | None]:
    if remembered is not None:
        try:
            state = msgspec.convert(remembered.state, PipelineState)
            source = SOURCES[kind].make(own, clocks, state.source)
            try:
                if state.quality is not None:
                    QualityChecker(source.channels).resume(state.quality)
            except BaseException:
                source.close()
                raise
            return source, state
        except (LookupError, TypeError, ValueError, ArithmeticError, msgspec.ValidationError, RecursionError) as fault:
            log.warning("%s: its checkpoint is of no use (%r); it begins anew", name, fault)
    return SOURCES[kind].make(own, clocks, None), None


def _overridden(channels: Sequence[Channel], quality: options.QualityOptions, asset: str) -> tuple[Channel, ...]:
    names = [channel.name for channel in channels]
    unknown = [name for name in quality.channels if name not in names]
    if unknown:
        raise SourceError(
            f"`assets.{asset}.quality.channels` names {', '.join(unknown)}, which the source does not have; its channels "
            f"are {', '.join(names)}"
        )
    changed = []
    for channel in channels:
        wanted = quality.channels.get(channel.name)
        own = msgspec.structs.asdict(wanted) if wanted is not None else {}
        changed.append(channel._replace(**{key: value for key, value in own.items() if value is not None}))
    return tuple(changed)
