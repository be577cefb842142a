"""Sends the entries of an `edgeml.cloud.outbox.Outbox`, or of another `SendQueue`, and deletes those whose delivery is confirmed.

Each class is a lane with its own order, back-off and confirmation. One message of a lane is in flight at a time, and while its echo is
missing, no message of a lower lane is sent. A process that is killed between sending and deleting therefore repeats at most one message,
with the same id, and keeps the order. If echoes do not arrive at all, further messages are sent without waiting, because a missing
permission to subscribe must not keep messages from the cloud.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from edgeml.backoff import Backoff
from edgeml.cloud.outbox import CLASS_NAMES, Outbox, OutboxMessage, OutboxOptions
from edgeml.timestamps import boot_id

log = logging.getLogger(__name__)

IDLE_S = 60.0
MAX_STEP = 5
"""Maximum messages in a step, so that local work continues."""
MAX_STEP_S = 0.1
"""A step of this length sends no further message: IoT Core may answer slowly, and local work must not wait for more than one call."""
MAX_UNECHOED = 100
"""Maximum messages in flight while no echoes arrive."""
MAX_ECHO_S = 600.0
RENEW_S = 60.0
"""Interval of renewals of the subscription while no echoes arrive."""


class SendQueue(Protocol):
    """Queued messages in classes; see `edgeml.cloud.outbox.Outbox` for the methods."""

    @property
    def counts(self) -> tuple[int, ...]: ...

    def first(self, kind: int, after: int = 0) -> OutboxMessage | None: ...

    def entry(self, no: int) -> OutboxMessage | None: ...

    def delivered(self, no: int) -> bool: ...

    def id_of(self, entry: OutboxMessage) -> str: ...

    def number_of(self, text: str) -> int | None: ...


class _Entry(msgspec.Struct):
    entry: str = ""


class _Lane:
    """The state of one class.

    Attributes:
        in_flight: sent and not confirmed: number -> (time of the next retry, number of attempts).
        next_attempt: nothing is sent before this time.
        unechoed: echoes do not arrive.
    """

    def __init__(self, kind: int, echo: bool) -> None:
        self.kind, self.echo = kind, echo
        self.in_flight: dict[int, tuple[float, int]] = {}
        self.next_attempt = 0.0
        self.unechoed = False
        self.backoff = Backoff(1.0, 30.0)


class RateLimiter:
    """A token bucket: at most `rate` per second, and at most those of one second at once."""

    def __init__(self, rate: float) -> None:
        self._rate, self._capacity = rate, max(1.0, rate)
        self._tokens, self._at = self._capacity, 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next one is available."""
        self._tokens = min(self._capacity, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def take(self) -> None:
        self._tokens -= 1.0


class CloudSender:
    """Call `tick` at the times that it returns, and `echo` with each message from IoT Core on one of its own topics.

    Args:
        publish: publishes a payload on a topic of IoT Core; returns whether the nucleus accepted it.
        renew: called with a reason when echoes do not arrive: the subscription may have died.
        lanes: name of each class -> whether an echo is its confirmation; None: as in the outbox's options.
        confirmation_option: the name of the option for a class's confirmation.
        monotonic: the clock that measures the length of a step.

    Attributes:
        sent: messages that the nucleus accepted since the process started, including retries.
    """

    def __init__(
        self,
        outbox: SendQueue,
        options: OutboxOptions,
        publish: Callable[[str, bytes], bool],
        renew: Callable[[str], None] = lambda reason: None,
        lanes: Mapping[str, bool] | None = None,
        confirmation_option: Callable[[str], str] = "outbox.confirmation.{}".format,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox, self._options, self._publish, self._renew = outbox, options, publish, renew
        if lanes is None:
            lanes = {name: getattr(options.confirmation, name) == "echo" for name in CLASS_NAMES}
        self._names, self._confirmation_option = tuple(lanes), confirmation_option
        self._lanes = [_Lane(kind, echo) for kind, echo in enumerate(lanes.values())]
        self._rate_limiter = RateLimiter(options.backlog_rate)
        self._renew_at = 0.0
        self._monotonic = monotonic
        self.sent = 0

    def tick(self, now: float) -> float:
        """Send the due messages, alerts first; returns the seconds until the next call."""
        waits = [IDLE_S]
        budget, give_up = MAX_STEP, self._monotonic() + MAX_STEP_S
        for lane in self._lanes:
            while True:
                if now < lane.next_attempt:
                    waits.append(lane.next_attempt - now)
                    break
                entry, wait = self._next(lane, now)
                if entry is None:
                    waits.append(wait)
                    break
                late = entry.boot != boot_id() or now - entry.queued_s > self._options.late_after_s
                wait = self._rate_limiter.wait(now) if late else 0.0
                if wait:
                    waits.append(wait)
                    break
                # Each step sends at least one, however slow this machine is.
                if not budget or (budget < MAX_STEP and self._monotonic() > give_up):
                    return 0.0
                budget -= 1
                if not self._send(lane, entry, late, now):
                    return 0.0  # the other lanes continue after the local work, because a failed publish takes time
            if lane.in_flight and not lane.unechoed:
                break  # an echo is pending: one message at a time, and this one has priority
        return min(waits)

    def echo(self, payload: bytes) -> None:
        """Handle a message from IoT Core: if it is an echo, the entry is delivered."""
        try:
            no = self._outbox.number_of(msgspec.json.decode(payload, type=_Entry).entry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            no = None  # another message on this topic
        if no is None:
            return
        self._outbox.delivered(no)
        for lane in self._lanes:
            if lane.in_flight.pop(no, None) is not None and lane.unechoed:
                lane.unechoed = False
                log.info("IoT Core echoes %s again", self._names[lane.kind])

    @property
    def faults(self) -> tuple[str, ...]:
        """Faults that a person must correct, one sentence each."""
        return tuple(
            f"IoT Core echoes no {self._names[lane.kind]}: they stay queued and are sent again; "
            "the device may be offline; otherwise allow this component to subscribe to their topic (accessControl, IoT policy), or set "
            f"{self._confirmation_option(self._names[lane.kind])} to acknowledgement"
            for lane in self._lanes
            if lane.unechoed
        )

    def _next(self, lane: _Lane, now: float) -> tuple[OutboxMessage | None, float]:
        for no, (retry_at, _) in list(lane.in_flight.items()):
            if now >= retry_at:
                self._echo_missing(lane, now)
                entry = self._outbox.entry(no)
                if entry is not None:
                    return entry, 0.0
                del lane.in_flight[no]  # downsampled meanwhile
        if len(lane.in_flight) >= (MAX_UNECHOED if lane.unechoed else 1):
            return None, max(0.0, min(retry_at for retry_at, _ in lane.in_flight.values()) - now)
        return self._outbox.first(lane.kind, max(lane.in_flight, default=0)), IDLE_S

    def _echo_missing(self, lane: _Lane, now: float) -> None:
        if not lane.unechoed:
            lane.unechoed = True
            log.warning("IoT Core does not echo %s within %g s; they are sent again", self._names[lane.kind], self._options.echo_s)
        if now >= self._renew_at:
            self._renew_at = now + RENEW_S
            self._renew(f"IoT Core does not echo {self._names[lane.kind]}")

    def _send(self, lane: _Lane, entry: OutboxMessage, late: bool, now: float) -> bool:
        if late:
            self._rate_limiter.take()
        if not self._publish(entry.topic, entry.message(self._outbox.id_of(entry), late)):
            if not lane.backoff.tries:
                log.warning("IoT Core does not accept %s; local work continues, and messages are queued", entry.topic)
            lane.next_attempt = now + lane.backoff.next()
            return False
        self.sent += 1
        if lane.backoff.tries:
            lane.backoff.reset()
            log.info("IoT Core accepts %s again; %d are queued", entry.topic, self._outbox.counts[lane.kind])
        if lane.echo:
            _, attempts = lane.in_flight.pop(entry.no, (0.0, 0))
            lane.in_flight[entry.no] = now + min(MAX_ECHO_S, self._options.echo_s * 2 ** min(attempts, 30)), attempts + 1
        else:
            self._outbox.delivered(entry.no)
        return True


def queues(outbox: Outbox) -> dict[str, tuple[int, int]]:
    """Queue lengths for a component's health: the size in kB, and the number of entries of each class."""
    waiting: dict[str, Any] = {f"to IoT Core: {name}": (count, 0) for name, count in zip(CLASS_NAMES, outbox.counts, strict=True)}
    return {"to IoT Core: kB": (outbox.used // 1000, outbox.most // 1000), **waiting}
