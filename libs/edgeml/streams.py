"""Numbered streams: a producer numbers its messages and keeps the last ones, a consumer sees a loss and asks for them again.

A producer that has nothing to send says so (`Pulse`), with the number of its last message, so that a consumer tells a quiet stream from
a silent one and sees the loss of a last message too.

A *stream* is one run of one producer (a random id); within it each asset's messages count 0, 1, 2, … . A repeated message
carries its original number, so a consumer takes each exactly once and in order.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgeml.messages import KeepAlive, Replay, Replaying, encode
from edgeml.times import SECOND

KEEP_ALIVE_S = 2.0
"""A producer that has sent nothing of an asset for this long sends a `KeepAlive`."""


class History:
    """One producer's numbered messages of one asset, the last `keep_s` seconds of event time, at most `keep_bytes`."""

    def __init__(self, asset: str, stream: str, keep_s: float = 900.0, keep_bytes: int = 1_000_000) -> None:
        self.asset, self.stream = asset, stream
        self.next_seq = 0
        self._keep_ns, self._keep_bytes = int(keep_s * SECOND), keep_bytes
        self._kept: deque[tuple[int, int, bytes]] = deque()  # seq, event time of the last row, payload
        self._bytes = 0

    @property
    def oldest(self) -> int:
        """The number of the first message that is kept; `next_seq` when none is."""
        return self._kept[0][0] if self._kept else self.next_seq

    def add(self, end_ns: int, payload: bytes) -> None:
        """Keep the message numbered `next_seq`, whose last row is of `end_ns`, and go on to the next number."""
        self._kept.append((self.next_seq, end_ns, payload))
        self._bytes += len(payload)
        self.next_seq += 1
        while len(self._kept) > 1 and (self._bytes > self._keep_bytes or self._kept[0][1] < end_ns - self._keep_ns):
            self._bytes -= len(self._kept.popleft()[2])

    def replay(self, since_ns: int) -> Iterator[bytes]:
        """`Replaying`, then every kept message from the first that ends after `since_ns` on."""
        wanted = list(self._kept)
        while wanted and wanted[0][1] <= since_ns:
            wanted.pop(0)
        first = wanted[0][0] if wanted else self.next_seq
        yield encode(Replaying(asset=self.asset, stream=self.stream, first=first))
        for _, _, payload in wanted:
            yield payload


class Pulse:
    """A producer's keep-alives on its topic.

    Args:
        publish: publishes an encoded message on the topic.
    """

    def __init__(self, publish: Callable[[bytes], object], every_s: float = KEEP_ALIVE_S) -> None:
        self._publish, self._every_s = publish, every_s
        self._sent: dict[str, tuple[int, float]] = {}  # asset -> the last number, and when it or a keep-alive went

    def tick(self, now: float, stream: str, asset: str = "", next_seq: int = 0) -> float:
        """Send what is due at the monotonic time `now`; returns in how many seconds to be called again.

        Args:
            next_seq: the number that the asset's next message will have.
        """
        seq, at = self._sent.get(asset, (-1, now - self._every_s))
        if next_seq - 1 != seq:
            # A message went since the last call: that is as good as a keep-alive.
            self._sent[asset] = next_seq - 1, now
            return self._every_s
        if now - at < self._every_s:
            return at + self._every_s - now
        self._sent[asset] = seq, now
        self._publish(encode(KeepAlive(asset=asset, stream=stream, seq=seq)))
        return self._every_s


def new_stream() -> str:
    """A stream id: 8 random bytes in hex."""
    return secrets.token_hex(8)


@dataclass
class _Expected:
    stream: str
    seq: int
    end_ns: int = 0
    asked_at: float | None = None
    missing_at: float | None = None  # since when a number is missing
    fresh: bool = False  # nothing of this stream was taken yet, so what came before is no loss


class Receiver:
    """A consumer's end of one topic: says of each message whether to take it, counts losses, asks for what is missing.

    Args:
        topic: the topic these messages come from.
        ask: called with a `Replay` to publish.
        monotonic: the clock of the patience.
        patience_s: how long a replay is awaited before it is asked for again.
        give_up_s: how long it is asked for before a loss is accepted. The producer may be as deaf as this consumer was, and takes up to
            10 s to hear again.

    Attributes:
        lost: messages that were numbered and never came.
        repeated: messages that came again.
    """

    def __init__(
        self, topic: str, ask: Callable[[Replay], None], monotonic: Callable[[], float], patience_s: float = 2.0, give_up_s: float = 15.0,
    ) -> None:
        self._topic, self._ask, self._monotonic, self._patience_s, self._give_up_s = topic, ask, monotonic, patience_s, give_up_s
        self._expected: dict[str, _Expected] = {}
        self.lost = 0
        self.repeated = 0

    def resume(self, asset: str, stream: str, seq: int, end_ns: int) -> None:
        """Go on where an earlier process of this consumer was: message `seq` of `stream` is next, all to `end_ns` is known."""
        self._expected[asset] = _Expected(stream, seq, end_ns)

    def position(self, asset: str) -> tuple[str, int, int]:
        """(stream, next number, event time of the last row) of an asset that was accepted; what `resume` takes."""
        state = self._expected[asset]
        return state.stream, state.seq, state.end_ns

    def ask_again(self, since: dict[str, int] | None = None) -> None:
        """Ask for what may have been missed: at the start, or after subscriptions were renewed.

        Args:
            since: for each asset the event time up to which all is known; for other assets everything is asked for.
        """
        if not since and not self._expected:
            self._ask(Replay(topic=self._topic))
            return
        known = {asset: state.end_ns for asset, state in self._expected.items()} | (since or {})
        for asset, end_ns in known.items():
            self._ask(Replay(topic=self._topic, asset=asset, since=end_ns))

    def replaying(self, message: Replaying) -> None:
        """The producer says from which number on it repeats."""
        state = self._expected.get(message.asset)
        if state is None or state.stream != message.stream:
            self._expected[message.asset] = _Expected(message.stream, message.first)
            return
        if message.first > state.seq:
            self._skip(state, message.first)
        state.asked_at = None

    def keep_alive(self, message: KeepAlive) -> None:
        """The producer has sent nothing for a while. What it sent last must have come; if not, it is asked for, until it answers."""
        if message.seq < 0:
            return
        state = self._expected.get(message.asset)
        if state is not None and state.stream == message.stream and message.seq < state.seq:
            return
        if state is None or state.stream != message.stream:
            state = self._expected[message.asset] = _Expected(message.stream, 0, state.end_ns if state else 0, fresh=True)
        now = self._monotonic()
        if state.asked_at is None or now - state.asked_at >= self._patience_s:
            state.asked_at = now
            self._ask(Replay(topic=self._topic, asset=message.asset, since=state.end_ns))

    def accept(self, asset: str, stream: str, seq: int, end_ns: int) -> bool:
        """Whether this message is new and in order. If not, it is a repetition, or it will come again in a replay.

        Args:
            end_ns: event time of its last row.
        """
        state = self._expected.get(asset)
        if state is None or state.stream != stream:
            # A stream that began before this consumer did: its earlier messages are asked for first.
            state = self._expected[asset] = _Expected(stream, 0, state.end_ns if state else 0, fresh=True)
        if seq < state.seq:
            self.repeated += 1
            return False
        if seq > state.seq:
            now = self._monotonic()
            state.missing_at = now if state.missing_at is None else state.missing_at
            if now - state.missing_at < self._give_up_s:
                if state.asked_at is None or now - state.asked_at >= self._patience_s:
                    state.asked_at = now
                    self._ask(Replay(topic=self._topic, asset=asset, since=state.end_ns))
                return False
            self._skip(state, seq)
        state.seq, state.end_ns, state.asked_at, state.missing_at, state.fresh = seq + 1, end_ns, None, None, False
        return True

    def _skip(self, state: _Expected, to: int) -> None:
        if not state.fresh:
            self.lost += to - state.seq
        state.seq = to
