"""The alarm policy of one asset and one model: confidences in, the life of alarms out.

Pure: event time only, no clock, no I/O.

An alarm is *pending* once N of the last M decided results are at or over `raise_at`. When that holds for `hold_s`, it is
*active* (raised); when it stops holding before, it is *cleared* without ever having been raised. A person's
acknowledgement makes an active alarm *acknowledged*, which changes nothing but that: it stays alarmed until it clears.
An active or acknowledged alarm is *cleared* when the confidence was at or under `clear_at` for `clear_hold_s`; then for
`cooldown_s` nothing new becomes pending.

"No decision" (None, or no finite number) neither raises nor clears: it is not among the M, and time spent in it counts for no hold.
Silence between two decided results does count: what silence is too long is the scorer's to say, by a "no decision".

A result at or before the last judged event time is a repetition and ignored. A source that is started anew with old
event times is told from a repetition by its stream: see `Policy.judge_block`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from edgeml.times import SECOND

PENDING, ACTIVE, ACKNOWLEDGED, CLEARED = "pending", "active", "acknowledged", "cleared"
ALARMED = (ACTIVE, ACKNOWLEDGED)

Level = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]

_STREAMS_KEPT = 16


class PolicyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """When an alarm is raised and cleared."""

    raise_at: Annotated[Level, Meta(description="confidence from which on a result speaks for an alarm, 0 to 1")] = 0.9
    clear_at: Annotated[Level, Meta(description="confidence down from which a result speaks for its end, 0 to 1")] = 0.3
    n: Annotated[int, Meta(ge=1, description="results at or over `raise_at` needed among the last `m` decided")] = 3
    m: Annotated[int, Meta(ge=1, le=10_000, description="decided results that `n` are counted among")] = 5
    hold_s: Annotated[Seconds, Meta(description="s of event time for which N of M must hold before an alarm is raised")] = 5
    clear_hold_s: Annotated[Seconds, Meta(description="s of event time at or under `clear_at` before it is cleared")] = 10
    cooldown_s: Annotated[Seconds, Meta(description="s of event time after a clear in which nothing new is pending")] = 60
    rewind_s: Annotated[
        Seconds, Meta(description="s before the last judged time at which a new sensor stream counts as begun anew")
    ] = 300

    def check(self, where: str = "") -> list[str]:
        """One sentence for each rule over several options that is broken."""
        dot = f"{where}." if where else ""
        faults = []
        if self.raise_at <= self.clear_at:
            faults.append(
                f"`{dot}raise_at` is {self.raise_at:g}, which is not above `{dot}clear_at`, {self.clear_at:g}; "
                "raise the one or lower the other, else an alarm would clear as it is raised"
            )
        if self.n > self.m:
            faults.append(
                f"`{dot}n` is {self.n}, which is more than `{dot}m`, {self.m}; "
                f"lower `{dot}n` or raise `{dot}m`, else no alarm could be raised"
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
    """An alarm has changed its state at event time `at`, ns; `row` is the result's index in its block, or -1."""

    alarm: Alarm
    at: int
    row: int = -1


class Judged(NamedTuple):
    """What became of a block: the changes in order, and the indices of the results that were not repetitions."""

    changes: list[Change]
    rows: list[int]


class State(msgspec.Struct, kw_only=True):
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
    """

    judged: int | None = None
    recent: list[bool] = []
    decided_at: int | None = None
    held: int = 0
    low: bool = False
    quiet_until: int | None = None
    epoch: int = 0
    streams: list[str] = []
    alarm: Alarm | None = None


class Policy:
    """The policy of one asset and one model.

    Args:
        state: what `state()` gave, to go on after a restart.
    """

    def __init__(self, options: PolicyOptions, asset: str, model: str, state: dict[str, Any] | None = None) -> None:
        self.options, self.asset, self.model = options, asset, model
        self._hold, self._clear_hold, self._cooldown, self._rewind = (
            round(s * SECOND) for s in (options.hold_s, options.clear_hold_s, options.cooldown_s, options.rewind_s)
        )
        self._state = msgspec.convert(state, State) if state else State()

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

    def judge_block(self, stream: str, times: Sequence[int], confidences: Iterable[float | None]) -> Judged:
        """Judge results of one sensor stream, in order.

        A stream never seen before whose first time is more than `rewind_s` before the last judged one is a recording
        begun anew: an open alarm is cleared, and judging starts afresh there. A smaller step back is a source that
        resumed at its checkpoint; what it repeats is ignored. Blocks of a stream that was followed by another are late
        repetitions and ignored.

        Args:
            stream: the id of the sensor stream behind the results (`answers_stream`), empty if there is none.
            times: event times, ns.
            confidences: one for each time; None or no finite number for no decision.
        """
        s = self._state
        changes: list[Change] = []
        if stream in s.streams[:-1]:
            return Judged(changes, [])
        if len(times) and stream not in s.streams:
            if s.judged is not None and times[0] < s.judged - self._rewind:
                changes += self._begin_anew()
            self._state.streams = [*s.streams, stream][-_STREAMS_KEPT:]
        rows = []
        for row, (time, confidence) in enumerate(zip(times, confidences, strict=True)):
            if self._is_new(time):
                rows.append(row)
                changes += [change._replace(row=row) for change in self.judge(time, confidence)]
        return Judged(changes, rows)

    def judge(self, time: int, confidence: float | None) -> list[Change]:
        """Judge one result at event time `time`, ns; returns the changes it brings, usually none.

        Confidences count to six decimals: they travel as float32, in which 0.9 is a little under 0.9.
        """
        if not self._is_new(time):
            return []
        s = self._state
        s.judged = time = int(time)
        if confidence is None or not math.isfinite(confidence):
            s.decided_at = None
            return []
        confidence = round(float(confidence), 6)
        passed = 0 if s.decided_at is None else time - s.decided_at
        s.decided_at = time
        s.recent.append(confidence >= self.options.raise_at)
        del s.recent[: -self.options.m]
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

    def annotate(self, alarm_id: str, note: str) -> list[Change]:
        """Add to the note of the open alarm `alarm_id`; its state stays."""
        s = self._state
        if s.alarm is None or s.alarm.id != alarm_id or s.judged is None:
            return []
        return [self._to(s.alarm.state, s.judged, note=_noted(s.alarm, note))]

    def _is_new(self, time: int) -> bool:
        return self._state.judged is None or time > self._state.judged

    def _judge_unalarmed(self, time: int, confidence: float, passed: int) -> list[Change]:
        s = self._state
        if sum(s.recent) < self.options.n:
            return [self._end(time)] if s.alarm is not None else []
        changes = []
        if s.alarm is None:
            if s.quiet_until is not None and time < s.quiet_until:
                return []
            s.held = 0
            s.alarm = Alarm(
                id=alarm_id(self.asset, self.model, time, s.epoch), asset=self.asset, model=self.model,
                state=PENDING, pending_at=time, confidence=confidence, peak=confidence,
            )
            changes.append(Change(s.alarm, time))
        else:
            s.held += passed
        if s.held >= self._hold:
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

    def _end(self, at: int, note: str = "") -> Change:
        assert self._state.alarm is not None
        change = self._to(CLEARED, at, cleared_at=at, note=_noted(self._state.alarm, note))
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
            changes.append(self._end(s.judged, note="the source began anew with earlier times"))
        self._state = State(epoch=s.epoch + 1, streams=s.streams)
        return changes


def _noted(alarm: Alarm, note: str) -> str:
    return "; ".join(part for part in (alarm.note, note) if part)


def alarm_id(asset: str, model: str, pending_at: int, epoch: int = 0) -> str:
    """16 hex digits: the alarm of `asset` and `model` that went pending at `pending_at`, ns, in the source's `epoch`."""
    return hashlib.sha256("\0".join((asset, model, str(pending_at), str(epoch))).encode()).hexdigest()[:16]
