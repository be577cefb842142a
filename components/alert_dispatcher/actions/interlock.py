"""What forbids a command: a condition over the latest readings, and a permit that somebody keeps giving. Whatever is not known forbids."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from alert_dispatcher.actions.expression import ALLOWED, Expression, ExpressionError
from edgeml.messages import GAP, GOOD, QUALITY_NAMES, Message, Permit, SensorBatch, topics
from edgeml.timestamps import SECOND

ASSETS_KEPT = 1_000
"""Assets of which readings and permits are remembered: a bound against whoever makes up names."""
STREAMS_KEPT = 8
"""Streams of an asset whose latest readings are remembered side by side; usually there is one."""
TRUSTED = (GOOD, GAP)
"""Qualities of a reading that counts; the first after a gap is as good as any."""


class InterlockOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What must be so for a command to be sent."""

    allow_when: Annotated[str, Meta(description="a condition over an asset's latest readings; empty: none")] = ""
    assets: Annotated[dict[str, str], Meta(description="another condition for an asset, by its name; empty: none for that asset")] = {}
    permit: Annotated[bool, Meta(description="a permit must have been heard for the asset, and say that it is allowed")] = False
    max_age_s: Annotated[float, Meta(gt=0, le=86_400, description="s of the clock after which a reading or a permit counts no longer")] = (
        10.0
    )
    event_time: Annotated[
        bool, Meta(description="a reading is as old as its event time says, too; false for recordings and simulations of another time")
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
    """When something was sent, by both clocks of this device: one stops while the system sleeps, the other can be set."""

    monotonic_s: float
    wall_ns: int

    def age_s(self, now: float, wall_ns: int) -> float:
        """By the clock that says more."""
        return max(now - self.monotonic_s, (wall_ns - self.wall_ns) / SECOND)


class _Reading(NamedTuple):
    """The latest row of one stream: `event_ns` its event time, value and quality code by channel."""

    stream: str
    seq: int
    event_ns: int
    sent: _Sent
    channels: dict[str, tuple[float, int]]

    def follows(self, other: _Reading) -> bool:
        """It is the later one by the sensor's clock and by this device's."""
        return self.event_ns >= other.event_ns and self.sent.monotonic_s >= other.sent.monotonic_s


class Interlock:
    """Listens, and says whether a command may be sent.

    Attributes:
        topics: the local topics that it must hear, none when it forbids nothing.
    """

    def __init__(self, options: InterlockOptions) -> None:
        self._options = options
        self._general = Expression(options.allow_when) if options.allow_when else None
        self._own = {asset: Expression(text) if text else None for asset, text in options.assets.items()}
        self._readings: dict[str, list[_Reading]] = {}
        self._permits: dict[str, tuple[_Sent, Permit]] = {}
        looks = self._general is not None or any(self._own.values())
        self.topics: tuple[str, ...] = ((topics.SENSORS,) if looks else ()) + ((topics.INTERLOCK,) if options.permit else ())

    def hear(self, topic: str, message: Message, sent_at: float, wall_ns: int) -> None:
        """A message on one of `topics`.

        Args:
            sent_at, wall_ns: when it was sent, by the monotonic and the wall clock; not when its turn has come.

        Raises:
            MessageError: a batch whose columns do not agree.
        """
        sent = _Sent(sent_at, wall_ns)
        if topic == topics.SENSORS and isinstance(message, SensorBatch):
            self._take(message, sent)
        elif topic == topics.INTERLOCK and isinstance(message, Permit):
            known, before = self._permits.get(message.asset, (sent, message))
            # One that was overtaken on its way counts no more; of two of one instant the denial does.
            if (sent.monotonic_s, before.allowed) >= (known.monotonic_s, message.allowed):
                _keep(self._permits, message.asset, (sent, message))

    def forbids(self, asset: str, now: float, wall_ns: int) -> str:
        """Why a command to `asset` must not be sent now; empty if it may."""
        expression = self._own.get(asset, self._general)
        return (self._by_readings(expression, asset, now, wall_ns) if expression else "") or (
            self._by_permit(asset, now, wall_ns) if self._options.permit else ""
        )

    def _take(self, batch: SensorBatch, sent: _Sent) -> None:
        others = []
        for known in self._readings.get(batch.asset, ()):
            if known.stream != batch.stream:
                others.append(known)
            elif batch.seq <= known.seq:
                return  # a repetition is no newer for being heard again
        times, values, quality = batch.arrays()
        if not len(times):
            return
        channels: dict[str, tuple[float, int]] = {}
        for name, value, code in zip(batch.channels, values[-1].tolist(), quality[-1].tolist(), strict=True):
            channels[name] = (value, code) if name not in channels else (math.nan, code)  # which of the two is meant is not known
        latest = _Reading(batch.stream, batch.seq, int(times[-1]), sent, channels)
        kept = [known for known in others if not latest.follows(known)]
        if not any(known.follows(latest) for known in kept):
            kept.append(latest)
        _keep(self._readings, batch.asset, kept[-STREAMS_KEPT:])

    def _by_readings(self, expression: Expression, asset: str, now: float, wall_ns: int) -> str:
        # Every reading that is fresh must allow: where two streams are later than each other by one clock each, the present is not known.
        readings = self._readings.get(asset)
        if not readings:
            return f"no readings of {asset} have come yet"
        most = self._options.max_age_s
        ages = [reading.sent.age_s(now, wall_ns) for reading in readings]
        if self._options.event_time:
            by_event = [(wall_ns - reading.event_ns) / SECOND for reading in readings]
            ahead = max((-age for age, since in zip(by_event, ages, strict=True) if since <= most), default=0.0)
            if ahead > most:
                return f"the latest readings of {asset} are dated {ahead:.1f} s ahead of this device's clock"
            ages = [max(pair) for pair in zip(ages, by_event, strict=True)]
        if min(ages) > most:
            return f"the latest readings of {asset} are {min(ages):.1f} s old"
        fresh = [reading for reading, age in zip(readings, ages, strict=True) if age <= most]
        return next(filter(None, (_against(expression, asset, reading.channels) for reading in fresh)), "")

    def _by_permit(self, asset: str, now: float, wall_ns: int) -> str:
        if asset not in self._permits:
            return f"no permit for {asset} has come on {topics.INTERLOCK} yet"
        sent, permit = self._permits[asset]
        age = sent.age_s(now, wall_ns)
        if age > self._options.max_age_s:
            return f"the latest permit for {asset} is {age:.1f} s old"
        reason = " ".join(permit.reason.split())[:200]
        return "" if permit.allowed else f"the permit for {asset} is denied" + (f": {reason}" if reason else "")


def _against(expression: Expression, asset: str, channels: dict[str, tuple[float, int]]) -> str:
    """Why a reading does not allow; empty if it does."""
    for channel in expression.channels:
        if channel not in channels:
            return f"{asset} has no channel {channel!r}, only {', '.join(channels)[:200]}"
        value, quality = channels[channel]
        if math.isnan(value):
            return f"the reading of {channel} is missing"
        if quality not in TRUSTED:
            return f"the reading of {channel} is {QUALITY_NAMES[quality] if quality < len(QUALITY_NAMES) else 'not trusted'}"
        if math.isinf(value):
            return f"the reading of {channel} is not finite"
    values = {channel: channels[channel][0] for channel in expression.channels}
    if expression.holds(values):
        return ""
    shown = ", ".join(f"{channel} is {value:g}" for channel, value in values.items())
    return f"`{expression.text}` does not hold: {shown}"


V = TypeVar("V")


def _keep(what: dict[str, V], asset: str, value: V) -> None:
    """Remember the newest of each of the latest assets."""
    what.pop(asset, None)
    what[asset] = value
    while len(what) > ASSETS_KEPT:
        del what[next(iter(what))]
