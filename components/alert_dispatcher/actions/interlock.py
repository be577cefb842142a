"""What forbids a command: a condition over the latest readings, and a permit that somebody keeps giving. Whatever is not known forbids."""

from __future__ import annotations

from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from alert_dispatcher.actions.expression import ALLOWED, Expression, ExpressionError
from edgeml import topics
from edgeml.messages import GAP, GOOD, QUALITY_NAMES, Message, Permit, SensorBatch
from edgeml.times import SECOND

ASSETS_KEPT = 1_000
"""Assets of which readings and permits are remembered: a bound against whoever makes up names."""
TRUSTED = (GOOD, GAP)
"""Qualities of a reading that counts; the first after a gap is as good as any."""


class InterlockOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What must be so for a command to be sent."""

    allow_when: Annotated[str, Meta(description="a condition over an asset's latest readings; empty: none")] = ""
    assets: Annotated[dict[str, str], Meta(description="another condition for an asset, by its name; empty: none for that asset")] = {}
    permit: Annotated[bool, Meta(description="a permit must have been heard for the asset, and say that it is allowed")] = False
    max_age_s: Annotated[
        float, Meta(gt=0, le=86_400, description="s of the clock after which a reading or a permit counts no longer")
    ] = 10.0
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


class _Reading(NamedTuple):
    """The latest row: `event_ns` its event time, `heard` monotonic seconds, value and quality code by channel."""

    stream: str
    seq: int
    event_ns: int
    heard: float
    channels: dict[str, tuple[float, int]]


class Interlock:
    """Listens, and says whether a command may be sent.

    Attributes:
        topics: the local topics that it must hear, none when it forbids nothing.
    """

    def __init__(self, options: InterlockOptions) -> None:
        self._options = options
        self._general = Expression(options.allow_when) if options.allow_when else None
        self._own = {asset: Expression(text) if text else None for asset, text in options.assets.items()}
        self._readings: dict[str, _Reading] = {}
        self._permits: dict[str, tuple[float, Permit]] = {}
        looks = self._general is not None or any(self._own.values())
        self.topics: tuple[str, ...] = ((topics.SENSORS,) if looks else ()) + ((topics.INTERLOCK,) if options.permit else ())

    def hear(self, topic: str, message: Message, now: float) -> None:
        """A message on one of `topics` at the monotonic time `now`.

        Raises:
            MessageError: a batch whose columns do not agree.
        """
        if topic == topics.SENSORS and isinstance(message, SensorBatch):
            self._take(message, now)
        elif topic == topics.INTERLOCK and isinstance(message, Permit):
            _keep(self._permits, message.asset, (now, message))

    def forbids(self, asset: str, now: float, wall_ns: int) -> str:
        """Why a command to `asset` must not be sent now; empty if it may."""
        expression = self._own.get(asset, self._general)
        return (self._by_readings(expression, asset, now, wall_ns) if expression else "") or (
            self._by_permit(asset, now) if self._options.permit else ""
        )

    def _take(self, batch: SensorBatch, now: float) -> None:
        known = self._readings.get(batch.asset)
        if known is not None and known.stream == batch.stream and batch.seq <= known.seq:
            return  # a repetition is no newer for being heard again
        times, values, quality = batch.arrays()
        if len(times):
            row = zip(values[-1].tolist(), quality[-1].tolist(), strict=True)
            latest = dict(zip(batch.channels, row, strict=True))
            _keep(self._readings, batch.asset, _Reading(batch.stream, batch.seq, int(times[-1]), now, latest))

    def _by_readings(self, expression: Expression, asset: str, now: float, wall_ns: int) -> str:
        reading = self._readings.get(asset)
        if reading is None:
            return f"no readings of {asset} have come yet"
        age = now - reading.heard
        if self._options.event_time:
            by_event = (wall_ns - reading.event_ns) / SECOND
            if by_event < -self._options.max_age_s:
                return f"the latest readings of {asset} are dated {-by_event:.1f} s ahead of this device's clock"
            age = max(age, by_event)
        if age > self._options.max_age_s:
            return f"the latest readings of {asset} are {age:.1f} s old"
        for channel in expression.channels:
            if channel not in reading.channels:
                return f"{asset} has no channel {channel!r}, only {', '.join(reading.channels)[:200]}"
            value, quality = reading.channels[channel]
            if quality not in TRUSTED or value != value:
                name = QUALITY_NAMES[quality] if quality < len(QUALITY_NAMES) else "not trusted"
                return f"the reading of {channel} is {'missing' if value != value else name}"
        values = {channel: reading.channels[channel][0] for channel in expression.channels}
        if expression.holds(values):
            return ""
        shown = ", ".join(f"{channel} is {value:g}" for channel, value in values.items())
        return f"`{expression.text}` does not hold: {shown}"

    def _by_permit(self, asset: str, now: float) -> str:
        heard, permit = self._permits.get(asset, (0.0, None))
        if permit is None:
            return f"no permit for {asset} has come on {topics.INTERLOCK} yet"
        if now - heard > self._options.max_age_s:
            return f"the latest permit for {asset} is {now - heard:.1f} s old"
        reason = " ".join(permit.reason.split())[:200]
        return "" if permit.allowed else f"the permit for {asset} is denied" + (f": {reason}" if reason else "")


V = TypeVar("V")


def _keep(what: dict[str, V], asset: str, value: V) -> None:
    """Remember the newest of each of the latest assets."""
    what.pop(asset, None)
    what[asset] = value
    while len(what) > ASSETS_KEPT:
        del what[next(iter(what))]
