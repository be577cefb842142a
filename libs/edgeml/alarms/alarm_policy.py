"""The alarm policy of one asset and one model: from confidences to alarms.

Pure: event time only, no clock, no I/O.

An alarm is *pending* once `votes` of the last `of` decided results are at or over `raise_at`. When that holds for `hold_s`, the alarm is
*active* (raised); if it stops holding earlier, the alarm is *cleared* without having been raised. A person's acknowledgement makes an
active alarm *acknowledged* and changes nothing else. An active or acknowledged alarm is *cleared* when the confidence was at or under
`clear_at` for `clear_hold_s`; for `cooldown_s` after that, no new alarm becomes pending.

For `settle_s` after a standstill of the machine, a pending alarm waits while all channels that are far from normal approach it
(`edgeml.alarms.startup_recovery`), because a cold machine warms up. It does not wait if a channel stays away, except in the first two
minutes, in which that cannot be determined yet.

"No decision" (None, or no finite number) neither raises nor clears: it is not among the last `of` results, and its time does not count for
a hold. Silence between two decided results counts; the scorer reports too long a silence as "no decision".

A result at or before the last evaluated event time is a repetition and is ignored. A source that starts again with old event times is
distinguished from a repetition by its stream, and one whose clock was set back by its epoch: see `AlarmPolicy.evaluate_block`.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from edgeml.alarms.startup_recovery import STEP_S, STEPS, Step, approaches_normal, record
from edgeml.parsing.sanitize import fit, fit_end
from edgeml.timestamps import SECOND

PENDING, ACTIVE, ACKNOWLEDGED, CLEARED = "pending", "active", "acknowledged", "cleared"
ALARMED = (ACTIVE, ACKNOWLEDGED)

Level = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]

_MAX_STREAMS = 16
MAX_NAME_BYTES, MAX_NOTE_BYTES = 200, 2000
"""Maximum bytes of a person's name, and of an alarm's note, whose oldest text is cut first."""
STANDSTILL_NS = 60 * SECOND
"""After a shorter standstill a machine is not cold, so a current that flickers below its level delays no alarm."""
SETTLING_NS = STEP_S * STEPS * SECOND
WARMING_NOTE = "not raised while the machine settles after its start: all channels far from normal are approaching it"


class PolicyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions for raising and clearing an alarm."""

    raise_at: Annotated[Level, Meta(description="confidence from which on a result counts for an alarm, 0 to 1")] = 0.9
    clear_at: Annotated[Level, Meta(description="confidence up to which a result counts for clearing, 0 to 1")] = 0.3
    votes: Annotated[int, Meta(ge=1, description="results at or over `raise_at` needed among the last `of` decided")] = 3
    of: Annotated[int, Meta(ge=1, le=10_000, description="number of latest decided results of which `votes` are counted")] = 5
    hold_s: Annotated[Seconds, Meta(description="s of event time for which the votes must hold before an alarm is raised")] = 5
    clear_hold_s: Annotated[Seconds, Meta(description="s of event time at or under `clear_at` before it is cleared")] = 10
    cooldown_s: Annotated[Seconds, Meta(description="s of event time after a clear without new pending alarms")] = 60
    settle_s: Annotated[
        Seconds,
        Meta(description="s of event time after a standstill in which an alarm waits while all channels far from normal approach it"),
    ] = 3600
    rewind_s: Annotated[
        Seconds, Meta(description="s before the last evaluated time: a new sensor stream that starts earlier counts as a restart")
    ] = 300

    def check(self, where: str = "") -> list[str]:
        """One sentence for each violated rule over several options."""
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
    """The state of one alarm; times are event times in ns since the epoch.

    Attributes:
        id: constant from pending to cleared, and the same when the same results are evaluated again.
        state: `pending`, `active`, `acknowledged` or `cleared`.
        confidence, peak: of the last decided result, and the highest since the alarm was pending.
        raised_at: when it became active, None if it never did.
        acknowledged_by: the person who acknowledged.
        note: from that person, and further information for an operator, such as a command that was not acknowledged.
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
    """A state change of an alarm at event time `at`, ns.

    Attributes:
        row: the result's index in its block, or -1.
        because: why the alarm ended, if no result cleared it.
    """

    alarm: Alarm
    at: int
    row: int = -1
    because: str = ""


class PolicyResult(NamedTuple):
    """The outcome of a block: the changes in order, and the indices of the results that were not repetitions."""

    changes: list[Change]
    rows: list[int]


class PolicyState(msgspec.Struct, kw_only=True):
    """The memory of a policy, saved as JSON.

    Attributes:
        evaluated_to: event time up to which all results are evaluated, ns.
        recent: whether each of the last `of` decided results was at or over `raise_at`.
        decided_at: event time of the last result if it was decided, else None.
        held: ns for which the votes have held (pending), or for which the confidence has been low (alarmed).
        low: whether the last decided confidence of an alarmed asset was at or under `clear_at`.
        quiet_until: end of the cool-down, ns.
        epoch: number of restarts of the source with earlier times.
        streams: the sensor streams seen, the current one last.
        standing_since: start of the present standstill, ns.
        settling_until: end of the settling time after a start, ns; None: the machine has run for longer.
        trail: the deviations during the settling time.
        stream_epoch: the epoch within the current stream.
    """

    evaluated_to: int | None = msgspec.field(default=None, name="judged")  # the key in saved states
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
        state: the saved state to continue from.
    """

    def __init__(self, options: PolicyOptions, asset: str, model: str, state: PolicyState | None = None) -> None:
        self.options, self.asset, self.model = options, asset, model
        self._hold, self._clear_hold, self._cooldown, self._rewind, self._settle = (
            round(s * SECOND) for s in (options.hold_s, options.clear_hold_s, options.cooldown_s, options.rewind_s, options.settle_s)
        )
        self._state = state or PolicyState()

    @property
    def alarm(self) -> Alarm | None:
        """The alarm that is pending, active or acknowledged now."""
        return self._state.alarm

    @property
    def evaluated_to(self) -> int | None:
        """Event time up to which all results are evaluated, ns; None before the first one."""
        return self._state.evaluated_to

    @property
    def state(self) -> PolicyState:
        """The state to save; it changes with the next result, so encode it before that."""
        return self._state

    def copy(self) -> AlarmPolicy:
        """An independent policy with the same state."""
        s = self._state
        trail = [msgspec.structs.replace(step) for step in s.trail]
        other = copy.copy(self)
        other._state = msgspec.structs.replace(s, recent=s.recent.copy(), streams=s.streams.copy(), trail=trail)
        return other

    def evaluate_block(
        self,
        stream: str,
        times: Sequence[int],
        confidences: Iterable[float | None],
        deviations: Any = None,
        stopped: Sequence[bool] | None = None,
        epoch: int = 0,
        plausible: Sequence[bool] | None = None,
    ) -> PolicyResult:
        """Evaluate results of one sensor stream, in order.

        If a new stream starts more than `rewind_s` before the last evaluated time, it is a recording that was restarted: an open alarm is
        cleared, and evaluation restarts there. A smaller step back is a source that resumed at its checkpoint; its repetitions are
        ignored. A later epoch of a stream always restarts the evaluation. Blocks of a stream or an epoch that was followed by another one
        are late repetitions and are ignored.

        Args:
            stream: the id of the sensor stream behind the results (`answers_stream`), empty if there is none.
            times: event times, ns.
            confidences: one for each time; None or no finite number for no decision.
            deviations, stopped: for each time as in `evaluate`, (n, c) and (n,); None: not known.
            epoch: number of times the stream went back in time for good.
            plausible: whether each time can be true; the other results are ignored. None: all can.
        """
        s = self._state
        changes: list[Change] = []
        if stream in s.streams[:-1] or (stream in s.streams and epoch < s.stream_epoch):
            return PolicyResult(changes, [])
        first = next((time for row, time in enumerate(times) if plausible is None or plausible[row]), None)
        if first is not None and (stream not in s.streams or epoch > s.stream_epoch):
            back = 0 if s.evaluated_to is None else s.evaluated_to - first
            if s.evaluated_to is not None and (back > self._rewind or (epoch and back >= 0)):
                changes += self._restart()
            if stream not in s.streams:
                self._state.streams = [*self._state.streams, stream][-_MAX_STREAMS:]
            self._state.stream_epoch = epoch
        rows = []
        for row, (time, confidence) in enumerate(zip(times, confidences, strict=True)):
            if self._is_new(time) and (plausible is None or plausible[row]):
                rows.append(row)
                seen = () if deviations is None or self._state.settling_until is None else deviations[row]
                standing = stopped is not None and bool(stopped[row])
                changes += [change._replace(row=row) for change in self.evaluate(time, confidence, seen, standing)]
        return PolicyResult(changes, rows)

    def evaluate(self, time: int, confidence: float | None, deviations: Sequence[float] = (), stopped: bool = False) -> list[Change]:
        """Evaluate one result at event time `time`, ns; returns the resulting changes, usually none.

        Args:
            deviations: of each channel from normal running, in its standard deviations; NaN where unknown.
            stopped: there is no decision because the machine stands, or has just been started.

        Confidences are rounded to six decimals, because they are sent as float32, in which 0.9 is a little under 0.9.
        """
        if not self._is_new(time):
            return []
        s = self._state
        s.evaluated_to = time = int(time)
        self._track_settling(time, deviations, stopped)
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
                return self._evaluate_alarmed(time, confidence, passed)
        return self._evaluate_unalarmed(time, confidence, passed)

    def acknowledge(self, alarm_id: str, by: str = "", note: str = "") -> list[Change]:
        """Acknowledge an active alarm; any other alarm does not change."""
        s = self._state
        if s.alarm is None or s.alarm.id != alarm_id or s.alarm.state != ACTIVE or s.evaluated_to is None:
            return []
        return [self._to(ACKNOWLEDGED, s.evaluated_to, acknowledged_by=fit(by, MAX_NAME_BYTES), note=_append_note(s.alarm, note))]

    def abandon(self, because: str) -> list[Change]:
        """End the open alarm without a result that clears it, for the reason `because`."""
        s = self._state
        return [] if s.alarm is None or s.evaluated_to is None else [self._end(s.evaluated_to, because)]

    def annotate(self, alarm_id: str, note: str) -> list[Change]:
        """Append to the note of the open alarm `alarm_id`; its state does not change."""
        s = self._state
        if s.alarm is None or s.alarm.id != alarm_id or s.evaluated_to is None:
            return []
        return [self._to(s.alarm.state, s.evaluated_to, note=_append_note(s.alarm, note))]

    def _is_new(self, time: int) -> bool:
        return self._state.evaluated_to is None or time > self._state.evaluated_to

    def _track_settling(self, time: int, deviations: Sequence[float], stopped: bool) -> None:
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
            record(s.trail, time, deviations)

    def _evaluate_unalarmed(self, time: int, confidence: float, passed: int) -> list[Change]:
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
        if s.settling_until is not None and approaches_normal(s.trail):
            if WARMING_NOTE not in s.alarm.note:
                changes.append(self._to(PENDING, time, note=_append_note(s.alarm, WARMING_NOTE)))
        # Just after the start the direction cannot be determined yet.
        elif s.settling_until is None or time >= s.settling_until - self._settle + SETTLING_NS:
            s.held, s.low = 0, False
            changes.append(self._to(ACTIVE, time, raised_at=time))
        return changes

    def _evaluate_alarmed(self, time: int, confidence: float, passed: int) -> list[Change]:
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
        change = self._to(CLEARED, at, cleared_at=at, note=_append_note(self._state.alarm, because))._replace(because=because)
        s = self._state
        # High results before the clear must not count for the next alarm.
        s.alarm, s.held, s.low = None, 0, False
        if change.alarm.raised_at is not None:
            s.recent = []
        return change

    def _restart(self) -> list[Change]:
        s = self._state
        changes = []
        if s.alarm is not None and s.evaluated_to is not None:
            changes.append(self._end(s.evaluated_to, because="the source restarted with earlier times"))
        self._state = PolicyState(epoch=s.epoch + 1, streams=s.streams)
        return changes


def _append_note(alarm: Alarm, note: str) -> str:
    return fit_end("; ".join(part for part in (alarm.note, fit(note, MAX_NOTE_BYTES // 2)) if part), MAX_NOTE_BYTES)


def alarm_id(asset: str, model: str, pending_at: int, epoch: int = 0) -> str:
    """The id, 16 hex digits, of the alarm that became pending at `pending_at`, ns, in the source's `epoch`."""
    return hashlib.sha256("\0".join((asset, model, str(pending_at), str(epoch))).encode()).hexdigest()[:16]
