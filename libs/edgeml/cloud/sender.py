"""Sends what waits in an `edgeml.cloud.outbox.Outbox`, or in what has its manner, and takes away what is proved to have arrived.

Each class is a lane of its own: its order, its back-off, its proof. One message of a lane is under way at a time, and while its echo is
awaited none of a lower lane is, so that a process that is killed between sending and deleting sends at most that one again, with the same
id, and the order is kept. Only where echoes stay out, others are sent without waiting: a missing permission keeps nothing from the cloud.
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
AT_ONCE = 5
"""Messages in a step, at most: there is local work to do besides."""
BUSY_S = 0.1
"""And no further one once a step has taken this long: IoT Core may answer slowly, and nothing local must wait for more than one call."""
DEAF_MOST = 100
"""Messages under way while echoes stay out."""
ECHO_LONGEST_S = 600.0
RENEW_S = 60.0
"""Between two renewals of the subscription while echoes stay out."""


class SendQueue(Protocol):
    """What is to be sent, in classes; `edgeml.cloud.outbox.Outbox` says what each method does."""

    @property
    def counts(self) -> tuple[int, ...]: ...

    def first(self, kind: int, after: int = 0) -> OutboxMessage | None: ...

    def entry(self, no: int) -> OutboxMessage | None: ...

    def delivered(self, no: int) -> bool: ...

    def id_of(self, entry: OutboxMessage) -> str: ...

    def number_of(self, given: str) -> int | None: ...


class _Entry(msgspec.Struct):
    entry: str = ""


class _Lane:
    """How the sending of one class stands.

    Attributes:
        under_way: sent and not proved: number -> (when it is sent again, how often it was sent).
        due: nothing is tried before.
    """

    def __init__(self, kind: int, echo: bool) -> None:
        self.kind, self.echo = kind, echo
        self.under_way: dict[int, tuple[float, int]] = {}
        self.due = 0.0
        self.deaf = False
        self.backoff = Backoff(1.0, 30.0)


class RateLimiter:
    """At most `per_s` a second, and no more than those of one second at once."""

    def __init__(self, per_s: float) -> None:
        self._per_s, self._most = per_s, max(1.0, per_s)
        self._left, self._at = self._most, 0.0

    def wait(self, now: float) -> float:
        """Seconds until one may be taken."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._per_s)
        self._at = now
        return max(0.0, (1.0 - self._left) / self._per_s)

    def take(self) -> None:
        self._left -= 1.0


class CloudSender:
    """Call `tick` when it says, and `echo` with each message that comes from IoT Core on one of its own topics.

    Args:
        publish: topic and payload to IoT Core; whether the nucleus took it.
        renew: called with a reason when echoes stay out: the subscription may have died.
        lanes: name of each class -> whether an echo is its proof; None: the outbox's, as its options say.
        confirmation_option: the option that says what a class's proof is.
        monotonic: the clock that says how long a step has taken.

    Attributes:
        sent: messages that the nucleus took since the process began, repeated ones included.
    """

    def __init__(
        self,
        outbox: SendQueue,
        options: OutboxOptions,
        publish: Callable[[str, bytes], bool],
        renew: Callable[[str], None] = lambda why: None,
        lanes: Mapping[str, bool] | None = None,
        confirmation_option: Callable[[str], str] = "outbox.confirmation.{}".format,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox, self._options, self._publish, self._renew = outbox, options, publish, renew
        if lanes is None:
            lanes = {name: getattr(options.confirmation, name) == "echo" for name in CLASS_NAMES}
        self._names, self._proof_option = tuple(lanes), confirmation_option
        self._lanes = [_Lane(kind, echo) for kind, echo in enumerate(lanes.values())]
        self._bucket = RateLimiter(options.backlog_rate)
        self._renew_at = 0.0
        self._monotonic = monotonic
        self.sent = 0

    def tick(self, now: float) -> float:
        """Send what is due, alerts first; returns in how many seconds there is something to do again."""
        waits = [IDLE_S]
        budget, give_up = AT_ONCE, self._monotonic() + BUSY_S
        for lane in self._lanes:
            while True:
                if now < lane.due:
                    waits.append(lane.due - now)
                    break
                entry, wait = self._next(lane, now)
                if entry is None:
                    waits.append(wait)
                    break
                late = entry.boot != boot_id() or now - entry.queued_s > self._options.late_after_s
                wait = self._bucket.wait(now) if late else 0.0
                if wait:
                    waits.append(wait)
                    break
                # One goes in each step, however slow this machine is.
                if not budget or (budget < AT_ONCE and self._monotonic() > give_up):
                    return 0.0
                budget -= 1
                if not self._send(lane, entry, late, now):
                    return 0.0  # the other lanes have their turn after the local work: a publish in vain takes time
            if lane.under_way and not lane.deaf:
                break  # its echo is on its way: one message at a time, and this one matters more
        return min(waits)

    def echo(self, payload: bytes) -> None:
        """A message has come back from IoT Core: what it was is delivered, if it is one that was sent."""
        try:
            no = self._outbox.number_of(msgspec.json.decode(payload, type=_Entry).entry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            no = None  # somebody else's message on this topic
        if no is None:
            return
        self._outbox.delivered(no)
        for lane in self._lanes:
            if lane.under_way.pop(no, None) is not None and lane.deaf:
                lane.deaf = False
                log.info("IoT Core echoes %s again", self._names[lane.kind])

    @property
    def faults(self) -> tuple[str, ...]:
        """What a person must see to, one sentence each."""
        return tuple(
            f"IoT Core echoes no {self._names[lane.kind]}: they are sent again and again, and kept; "
            "the device may be offline; else let this component subscribe to their topic (accessControl, IoT policy), or set "
            f"{self._proof_option(self._names[lane.kind])} to acknowledgement"
            for lane in self._lanes
            if lane.deaf
        )

    def _next(self, lane: _Lane, now: float) -> tuple[OutboxMessage | None, float]:
        for no, (again, _) in list(lane.under_way.items()):
            if now >= again:
                self._unanswered(lane, now)
                entry = self._outbox.entry(no)
                if entry is not None:
                    return entry, 0.0
                del lane.under_way[no]  # thinned out meanwhile
        if len(lane.under_way) >= (DEAF_MOST if lane.deaf else 1):
            return None, max(0.0, min(again for again, _ in lane.under_way.values()) - now)
        return self._outbox.first(lane.kind, max(lane.under_way, default=0)), IDLE_S

    def _unanswered(self, lane: _Lane, now: float) -> None:
        if not lane.deaf:
            lane.deaf = True
            log.warning("IoT Core does not echo %s within %g s; they are sent again", self._names[lane.kind], self._options.echo_s)
        if now >= self._renew_at:
            self._renew_at = now + RENEW_S
            self._renew(f"IoT Core does not echo {self._names[lane.kind]}")

    def _send(self, lane: _Lane, entry: OutboxMessage, late: bool, now: float) -> bool:
        if late:
            self._bucket.take()
        if not self._publish(entry.topic, entry.message(self._outbox.id_of(entry), late)):
            if not lane.backoff.tries:
                log.warning("IoT Core does not take %s; going on locally, and keeping them", entry.topic)
            lane.due = now + lane.backoff.next()
            return False
        self.sent += 1
        if lane.backoff.tries:
            lane.backoff.reset()
            log.info("IoT Core takes %s again; %d wait", entry.topic, self._outbox.counts[lane.kind])
        if lane.echo:
            _, times = lane.under_way.pop(entry.no, (0.0, 0))
            lane.under_way[entry.no] = now + min(ECHO_LONGEST_S, self._options.echo_s * 2 ** min(times, 30)), times + 1
        else:
            self._outbox.delivered(entry.no)
        return True


def queues(outbox: Outbox) -> dict[str, tuple[int, int]]:
    """For a component's health: how full it is, in kB, and how many of each class wait."""
    waiting: dict[str, Any] = {f"to IoT Core: {name}": (count, 0) for name, count in zip(CLASS_NAMES, outbox.counts, strict=True)}
    return {"to IoT Core: kB": (outbox.used // 1000, outbox.most // 1000), **waiting}
