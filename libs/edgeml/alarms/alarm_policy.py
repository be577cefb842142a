"""The alarm policy of one asset and one model: confidences in, the life of alarms out.

Pure: event time only, no clock, no I/O.

An alarm is *pending* once N of the last M decided results are at or over `raise_at`. When that holds for `hold_s`, it is
*active* (raised); when it stops holding before, it is *cleared* without ever having been raised. A person's
acknowledgement makes an active alarm *acknowledged*, which changes nothing but that: it stays alarmed until it clears.
An active or acknowledged alarm is *cleared* when the confidence was at or under `clear_at` for `clear_hold_s`; then for
`cooldown_s` nothing new becomes pending.

For `settle_s` after the machine stood still a pending alarm waits while all that is far from normal comes nearer to it (`edgeml.model.startup_recovery`):
what starts cold warms up. It waits no longer than that, and not where something stays away, but for the first two minutes, in which
that cannot be told yet.

"No decision" (None, or no finite number) neither raises nor clears: it is not among the M, and time spent in it counts for no hold.
Silence between two decided results does count: what silence is too long is the scorer's to say, by a "no decision".

A result at or before the last judged event time is a repetition and ignored. A source that is started anew with old
event times is told from a repetition by its stream, and one whose clock was set back by its epoch: see `AlarmPolicy.judge_block`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from edgeml.model.startup_recovery import STEP_S, STEPS, Step, comes_nearer, follow
from edgeml.parsing.sanitize import fit, fit_end
from edgeml.timestamps import SECOND

PENDING, ACTIVE, ACKNOWLEDGED, CLEARED = "pending", "active", "acknowledged", "cleared"
ALARMED = (ACTIVE, ACKNOWLEDGED)

Level = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]

_STREAMS_KEPT = 16
LONGEST_NOTE = 2000
"""Bytes of an alarm's note; the oldest of it goes first."""
STANDSTILL_NS = 60 * SECOND
"""A machine that stood for less is not cold. So a current that flickers below its level withholds no alarm."""
SETTLING_NS = STEP_S * STEPS * SECOND
WARMING = "not raised while the machine settles after its start: all that is far from normal comes nearer to it"


class PolicyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """When an alarm is raised and cleared."""

    raise_at: Annotated[Level, Meta(description="confidence from which on a result speaks for an alarm, 0 to 1")] = 0.9
    clear_at: Annotated[Level, Meta(description="confidence down from which a result speaks for its end, 0 to 1")] = 0.3
    votes: Annotated[int, Meta(ge=1, description="results at or over `raise_at` needed among the last `of` decided")] = 3
    of: Annotated[int, Meta(ge=1, le=10_000, description="decided results that `votes` are counted among")] = 5
    hold_s: Annotated[Seconds, Meta(description="s of event time for which N of M must hold before an alarm is raised")] = 5
    clear_hold_s: Annotated[Seconds, Meta(description="s of event time at or under `clear_at` before it is cleared")] = 10
    cooldown_s: Annotated[Seconds, Meta(description="s of event time after a clear in which nothing new is pending")] = 60
    settle_s: Annotated[
        Seconds,
        Meta(description="s of event time after a standstill in which an alarm waits while all that is far from normal comes nearer"),
    ] = 3600
    rewind_s: Annotated[Seconds, Meta(description="s before the last judged time at which a new sensor stream counts as begun anew")] = 300

    def check(self, where: str = "") -> list[str]:
        """One sentence for each rule over several options that is broken."""
        dot = f"{where}." if where else ""
        faults = []
        if self.raise_at <= self.clear_at:
            faults.append(
                f"`{dot}raise_at` is {self.raise_at:g}, which is not above `{dot}clear_at`, {self.clear_at:g}; "
                "raise the one or lower the other, else an alarm would clear as it is raised"
            )
        if self.votes > self.of:
            faults.append(
                f"`{dot}votes` is {self.votes}, which is more than `{dot}of`, {self.of}; "
                f"lower `{dot}votes` or raise `{dot}of`, else no alarm could be raised"
            )
        return faults


class Alarm(msgspec.Struct, kw_only=True, frozen=True):
    """One alarm as it stands; times are event times in ns since the epoch.

    Attributes:
        id: the same from pending to cleared, and the same again when the same results are judged again.
        state: `pending`, `active`, `acknowledged` or `cleared`.
        confidence, peak: of the last decided result, and the highest since it was pending.
        raised_at: when it went active, None if it never did.
        acknowledged_by: the person who acknowledged.
        note: from that person, and what else an operator should know, such as a command that was not acknowledged.
    """

    id: str
    asset: str
    model: str
    state: str
    pending_at: int
    confidence: float
    peak: float
    raised_at: int | None = None
    cleared_at: int | None = None
    acknowledged_by: str = ""
    note: str = ""


class Change(NamedTuple):
    """An alarm has changed its state at event time `at`, ns.

    Attributes:
        row: the result's index in its block, or -1.
        because: why it ended, where no result said that it is over.
    """

    alarm: Alarm
    at: int
    row: int = -1
    because: str = ""


class PolicyResult(NamedTuple):
    """What became of a block: the changes in order, and the indices of the results that were not repetitions."""

    changes: list[Change]
    rows: list[int]


class PolicyState(msgspec.Struct, kw_only=True):
    """All that a policy remembers; plain data by `msgspec.to_builtins`.

    Attributes:
        judged: event time up to which everything is judged, ns.
        recent: whether each of the last M decided results was at or over `raise_at`.
        decided_at: event time of the last result if it was decided, else None.
        held: ns for which N of M has held (pending), or for which the confidence has been low (alarmed).
        low: an alarmed asset's last decided confidence was at or under `clear_at`.
        quiet_until: end of the cool-down, ns.
        epoch: how often a source began anew.
        streams: the sensor streams seen, the current one last.
        standing_since: since when the machine stands, ns.
        settling_until: to when a start is still fresh, ns; None: the machine has run for longer.
        trail: how far from normal it has been meanwhile.
        stream_epoch: the epoch within the current stream.
    """

    judged: int | None = None
    recent: list[bool] = []
    decided_at: int | None = None
    held: int = 0
    low: bool = False
    quiet_until: int | None = None
    epoch: int = 0
    streams: list[str] = []
    standing_since: int | None = None
    settling_until: int | None = None
    trail: list[Step] = []
    stream_epoch: int = 0
    alarm: Alarm | None = None


class AlarmPolicy:
    """The policy of one asset and one model.

    Args:
        state: what `state()` gave, to go on after a restart.
    """

    def __init__(self, options: PolicyOptions, asset: str, model: str, state: dict[str, Any] | None = None) -> None:
        self.options, self.asset, self.model = options, asset, model
        self._hold, self._clear_hold, self._cooldown, self._rewind, self._settle = (
            round(s * SECOND) for s in (options.hold_s, options.clear_hold_s, options.cooldown_s, options.rewind_s, options.settle_s)
        )
        self._state = msgspec.convert(state, PolicyState) if state else PolicyState()

    @property
    def alarm(self) -> Alarm | None:
        """The alarm that is pending, active or acknowledged now."""
        return self._state.alarm

    @property
    def judged(self) -> int | None:
        """Event time up to which everything is judged, ns; None before the first result."""
        return self._state.judged

    def state(self) -> dict[str, Any]:
        """Plain data from which the policy goes on as if it had never stopped."""
        return msgspec.to_builtins(self._state)

    def judge_block(
        self,
        stream: str,
        times: Sequence[int],
        confidences: Iterable[float | None],
        deviations: Any = None,
        stopped: Sequence[bool] | None = None,
        epoch: int = 0,
        in_line: Sequence[bool] | None = None,
    ) -> PolicyResult:
        """Judge results of one sensor stream, in order.

        A stream never seen before whose first time is more than `rewind_s` before the last judged one is a recording
        begun anew: an open alarm is cleared, and judging starts afresh there. A smaller step back is a source that
        resumed at its checkpoint; what it repeats is ignored. A later epoch of a stream is begun anew however small the step. Blocks of
        a stream or an epoch that was followed by another are late repetitions and ignored.

        Args:
            stream: the id of the sensor stream behind the results (`answers_stream`), empty if there is none.
            times: event times, ns.
            confidences: one for each time; None or no finite number for no decision.
            deviations, stopped: for each time as in `judge`, (n, c) and (n,); None: not known.
            epoch: how often the stream went back in time for good.
            in_line: whether each time may be true; one that may not is ignored with its result. None: all may.
        """
        s = self._state
        changes: list[Change] = []
        if stream in s.streams[:-1] or (stream in s.streams and epoch < s.stream_epoch):
            return PolicyResult(changes, [])
        first = next((time for row, time in enumerate(times) if in_line is None or in_line[row]), None)
        if first is not None and (stream not in s.streams or epoch > s.stream_epoch):
            back = 0 if s.judged is None else s.judged - first
            if s.judged is not None and (back > self._rewind or (epoch and back >= 0)):
                changes += self._begin_anew()
            if stream not in s.streams:
                self._state.streams = [*self._state.streams, stream][-_STREAMS_KEPT:]
            self._state.stream_epoch = epoch
        rows = []
        for row, (time, confidence) in enumerate(zip(times, confidences, strict=True)):
            if self._is_new(time) and (in_line is None or in_line[row]):
                rows.append(row)
                seen = () if deviations is None or self._state.settling_until is None else deviations[row]
                standing = stopped is not None and bool(stopped[row])
                changes += [change._replace(row=row) for change in self.judge(time, confidence, seen, standing)]
        return PolicyResult(changes, rows)

    def judge(self, time: int, confidence: float | None, deviations: Sequence[float] = (), stopped: bool = False) -> list[Change]:
        """Judge one result at event time `time`, ns; returns the changes it brings, usually none.

        Args:
            deviations: of each channel from normal running, in its standard deviations; NaN where unknown.
            stopped: there is no decision because the machine stands, or has just been started.

        Confidences count to six decimals: they travel as float32, in which 0.9 is a little under 0.9.
        """
        if not self._is_new(time):
            return []
        s = self._state
        s.judged = time = int(time)
        self._follow(time, deviations, stopped)
        if confidence is None or not math.isfinite(confidence):
            s.decided_at = None
            return []
        confidence = round(float(confidence), 6)
        passed = 0 if s.decided_at is None else time - s.decided_at
        s.decided_at = time
        s.recent.append(confidence >= self.options.raise_at)
        del s.recent[: -self.options.of]
        if s.alarm is not None:
            s.alarm = msgspec.structs.replace(s.alarm, confidence=confidence, peak=max(confidence, s.alarm.peak))
            if s.alarm.state in ALARMED:
                return self._judge_alarmed(time, confidence, passed)
        return self._judge_unalarmed(time, confidence, passed)

    def acknowledge(self, alarm_id: str, by: str = "", note: str = "") -> list[Change]:
        """A person has seen the alarm. Changes an active alarm only; anything else gives no change."""
        s = self._state
        if s.alarm is None or s.alarm.id != alarm_id or s.alarm.state != ACTIVE or s.judged is None:
            return []
        return [self._to(ACKNOWLEDGED, s.judged, acknowledged_by=by, note=_noted(s.alarm, note))]

    def abandon(self, because: str) -> list[Change]:
        """End the open alarm although no result says that it is over: nobody judges it any more, as `because` tells."""
        s = self._state
        return [] if s.alarm is None or s.judged is None else [self._end(s.judged, because)]

    def annotate(self, alarm_id: str, note: str) -> list[Change]:
        """Add to the note of the open alarm `alarm_id`; its state stays."""
        s = self._state
        if s.alarm is None or s.alarm.id != alarm_id or s.judged is None:
            return []
        return [self._to(s.alarm.state, s.judged, note=_noted(s.alarm, note))]

    def _is_new(self, time: int) -> bool:
        return self._state.judged is None or time > self._state.judged

    def _follow(self, time: int, deviations: Sequence[float], stopped: bool) -> None:
        s = self._state
        if not stopped:
            s.standing_since = None
        elif s.standing_since is None:
            s.standing_since = time
        if s.standing_since is not None and time - s.standing_since >= STANDSTILL_NS:
            s.settling_until, s.trail = time + self._settle, []
        elif s.settling_until is not None and time >= s.settling_until:
            s.settling_until, s.trail = None, []
        elif s.settling_until is not None:
            follow(s.trail, time, deviations)

    def _judge_unalarmed(self, time: int, confidence: float, passed: int) -> list[Change]:
        s = self._state
        if sum(s.recent) < self.options.votes:
            return [self._end(time)] if s.alarm is not None else []
        changes = []
        if s.alarm is None:
            if s.quiet_until is not None and time < s.quiet_until:
                return []
            s.held = 0
            s.alarm = Alarm(
                id=alarm_id(self.asset, self.model, time, s.epoch),
                asset=self.asset,
                model=self.model,
                state=PENDING,
                pending_at=time,
                confidence=confidence,
                peak=confidence,
            )
            changes.append(Change(s.alarm, time))
        else:
            s.held += passed
        if s.held < self._hold:
            return changes
        if s.settling_until is not None and comes_nearer(s.trail):
            if WARMING not in s.alarm.note:
                changes.append(self._to(PENDING, time, note=_noted(s.alarm, WARMING)))
        # Just after the start it cannot be told yet where things go.
        elif s.settling_until is None or time >= s.settling_until - self._settle + SETTLING_NS:
            s.held, s.low = 0, False
            changes.append(self._to(ACTIVE, time, raised_at=time))
        return changes

    def _judge_alarmed(self, time: int, confidence: float, passed: int) -> list[Change]:
        s = self._state
        if confidence > self.options.clear_at:
            s.low = False
            return []
        s.held = s.held + passed if s.low else 0
        s.low = True
        if s.held < self._clear_hold:
            return []
        s.quiet_until = time + self._cooldown
        return [self._end(time)]

    def _to(self, state: str, at: int, **fields: Any) -> Change:
        assert self._state.alarm is not None
        self._state.alarm = msgspec.structs.replace(self._state.alarm, state=state, **fields)
        return Change(self._state.alarm, at)

    def _end(self, at: int, because: str = "") -> Change:
        assert self._state.alarm is not None
        change = self._to(CLEARED, at, cleared_at=at, note=_noted(self._state.alarm, because))._replace(because=because)
        s = self._state
        # What was high before the clear must not count towards the next alarm.
        s.alarm, s.held, s.low = None, 0, False
        if change.alarm.raised_at is not None:
            s.recent = []
        return change

    def _begin_anew(self) -> list[Change]:
        s = self._state
        changes = []
        if s.alarm is not None and s.judged is not None:
            changes.append(self._end(s.judged, because="the source began anew with earlier times"))
        self._state = PolicyState(epoch=s.epoch + 1, streams=s.streams)
        return changes


def _noted(alarm: Alarm, note: str) -> str:
    return fit_end("; ".join(part for part in (alarm.note, fit(note, LONGEST_NOTE // 2)) if part), LONGEST_NOTE)


def alarm_id(asset: str, model: str, pending_at: int, epoch: int = 0) -> str:
    """16 hex digits: the alarm of `asset` and `model` that went pending at `pending_at`, ns, in the source's `epoch`."""
    return hashlib.sha256("\0".join((asset, model, str(pending_at), str(epoch))).encode()).hexdigest()[:16]
