"""The interlock of a command: a condition over the latest readings, and a permit that must be renewed. Anything unknown forbids."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from alert_dispatcher.actions.expression import ALLOWED, Expression, ExpressionError
from edgeml.messages import GAP, GOOD, QUALITY_NAMES, Message, Permit, SensorBatch, topics
from edgeml.timestamps import SECOND

MAX_ASSETS = 1_000
"""Assets whose readings and permits are kept: a bound against invented names."""
MAX_STREAMS = 8
"""Streams of an asset whose latest readings are kept; usually there is one."""
VALID_QUALITIES = (GOOD, GAP)
"""Qualities of a valid reading; the first reading after a gap is valid."""


class InterlockOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions for a command to be sent."""

    allow_when: Annotated[str, Meta(description="a condition over an asset's latest readings; empty: none")] = ""
    assets: Annotated[dict[str, str], Meta(description="another condition for an asset, by its name; empty: none for that asset")] = {}
    permit: Annotated[bool, Meta(description="require a permit for the asset that allows commands")] = False
    max_age_s: Annotated[float, Meta(gt=0, le=86_400, description="s of the clock after which a reading or a permit is too old")] = 10.0
    event_time: Annotated[
        bool, Meta(description="count the age of a reading by its event time, too; false for recordings and simulations of another time")
    ] = True

    def check(self, where: str) -> list[str]:
        dot = f"{where}." if where else ""
        faults = []
        for key, text in {"allow_when": self.allow_when, **{f"assets.{asset}": text for asset, text in self.assets.items()}}.items():
            if text:
                try:
                    Expression(text)
                except ExpressionError as fault:
                    faults.append(f"`{dot}{key}` is {text[:80]!r}: {fault}; allowed are {ALLOWED}")
        return faults


class _Sent(NamedTuple):
    """The time of a sending by both clocks of this device: one stops while the system sleeps, the other can be set."""

    monotonic_s: float
    wall_ns: int

    def age_s(self, now: float, wall_ns: int) -> float:
        """The age by the clock that shows more time."""
        return max(now - self.monotonic_s, (wall_ns - self.wall_ns) / SECOND)


class _Reading(NamedTuple):
    """The latest row of one stream: its event time, and value and quality code by channel."""

    stream: str
    seq: int
    event_ns: int
    sent: _Sent
    channels: dict[str, tuple[float, int]]

    def follows(self, other: _Reading) -> bool:
        """Whether it is the later one by the sensor's clock and by this device's."""
        return self.event_ns >= other.event_ns and self.sent.monotonic_s >= other.sent.monotonic_s


class Interlock:
    """Decides whether a command may be sent.

    Attributes:
        topics: local topics that it needs; none if it forbids nothing.
    """

    def __init__(self, options: InterlockOptions) -> None:
        self._options = options
        self._general = Expression(options.allow_when) if options.allow_when else None
        self._own = {asset: Expression(text) if text else None for asset, text in options.assets.items()}
        self._readings: dict[str, list[_Reading]] = {}
        self._permits: dict[str, tuple[_Sent, Permit]] = {}
        needs_readings = self._general is not None or any(self._own.values())
        self.topics: tuple[str, ...] = ((topics.SENSORS,) if needs_readings else ()) + ((topics.INTERLOCK,) if options.permit else ())

    def take(self, topic: str, message: Message, sent_at: float, wall_ns: int) -> None:
        """Take a message on one of `topics`.

        Args:
            sent_at, wall_ns: the time of its sending by the monotonic and the wall clock.

        Raises:
            MessageError: a batch whose columns do not agree.
        """
        sent = _Sent(sent_at, wall_ns)
        if topic == topics.SENSORS and isinstance(message, SensorBatch):
            self._take_readings(message, sent)
        elif topic == topics.INTERLOCK and isinstance(message, Permit):
            known, before = self._permits.get(message.asset, (sent, message))
            # A permit that was overtaken on its way is ignored; of two of the same instant the denial counts.
            if (sent.monotonic_s, before.allowed) >= (known.monotonic_s, message.allowed):
                _keep(self._permits, message.asset, (sent, message))

    def forbids(self, asset: str, now: float, wall_ns: int) -> str:
        """The reason why a command to `asset` must not be sent now; empty if it may."""
        expression = self._own.get(asset, self._general)
        return (self._by_readings(expression, asset, now, wall_ns) if expression else "") or (
            self._by_permit(asset, now, wall_ns) if self._options.permit else ""
        )

    def _take_readings(self, batch: SensorBatch, sent: _Sent) -> None:
        others = []
        for known in self._readings.get(batch.asset, ()):
            if known.stream != batch.stream:
                others.append(known)
            elif batch.seq <= known.seq:
                return  # a repetition is no newer reading
        times, values, quality = batch.arrays()
        if not len(times):
            return
        channels: dict[str, tuple[float, int]] = {}
        for name, value, code in zip(batch.channels, values[-1].tolist(), quality[-1].tolist(), strict=True):
            channels[name] = (value, code) if name not in channels else (math.nan, code)  # a duplicate name is ambiguous
        latest = _Reading(batch.stream, batch.seq, int(times[-1]), sent, channels)
        kept = [known for known in others if not latest.follows(known)]
        if not any(known.follows(latest) for known in kept):
            kept.append(latest)
        _keep(self._readings, batch.asset, kept[-MAX_STREAMS:])

    def _by_readings(self, expression: Expression, asset: str, now: float, wall_ns: int) -> str:
        # Every recent reading must allow the command: if each of two streams is the later one by one of the clocks,
        # the current state is unknown.
        readings = self._readings.get(asset)
        if not readings:
            return f"no readings of {asset} have arrived yet"
        max_age_s = self._options.max_age_s
        ages = [reading.sent.age_s(now, wall_ns) for reading in readings]
        if self._options.event_time:
            by_event = [(wall_ns - reading.event_ns) / SECOND for reading in readings]
            ahead = max((-age for age, since in zip(by_event, ages, strict=True) if since <= max_age_s), default=0.0)
            if ahead > max_age_s:
                return f"the latest readings of {asset} are dated {ahead:.1f} s ahead of this device's clock"
            ages = [max(pair) for pair in zip(ages, by_event, strict=True)]
        if min(ages) > max_age_s:
            return f"the latest readings of {asset} are {min(ages):.1f} s old"
        recent = [reading for reading, age in zip(readings, ages, strict=True) if age <= max_age_s]
        return next(filter(None, (_refusal(expression, asset, reading.channels) for reading in recent)), "")

    def _by_permit(self, asset: str, now: float, wall_ns: int) -> str:
        if asset not in self._permits:
            return f"no permit for {asset} has arrived on {topics.INTERLOCK} yet"
        sent, permit = self._permits[asset]
        age = sent.age_s(now, wall_ns)
        if age > self._options.max_age_s:
            return f"the latest permit for {asset} is {age:.1f} s old"
        reason = " ".join(permit.reason.split())[:200]
        return "" if permit.allowed else f"the permit for {asset} is denied" + (f": {reason}" if reason else "")


def _refusal(expression: Expression, asset: str, channels: dict[str, tuple[float, int]]) -> str:
    """The reason why a reading does not allow the command; empty if it does."""
    for channel in expression.channels:
        if channel not in channels:
            return f"{asset} has no channel {channel!r}, only {', '.join(channels)[:200]}"
        value, quality = channels[channel]
        if math.isnan(value):
            return f"the reading of {channel} is missing"
        if quality not in VALID_QUALITIES:
            return f"the reading of {channel} is {QUALITY_NAMES[quality] if quality < len(QUALITY_NAMES) else 'invalid'}"
        if math.isinf(value):
            return f"the reading of {channel} is not finite"
    values = {channel: channels[channel][0] for channel in expression.channels}
    if expression.holds(values):
        return ""
    shown = ", ".join(f"{channel} is {value:g}" for channel, value in values.items())
    return f"`{expression.text}` does not hold: {shown}"


V = TypeVar("V")


def _keep(latest: dict[str, V], asset: str, value: V) -> None:
    """Keep the value of an asset, and those of the assets that were updated last."""
    latest.pop(asset, None)
    latest[asset] = value
    while len(latest) > MAX_ASSETS:
        del latest[next(iter(latest))]
