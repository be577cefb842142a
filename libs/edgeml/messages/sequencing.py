"""Numbered streams: a producer numbers its messages and keeps the last ones, a consumer sees a loss and asks for them again.

A producer that has nothing to send says so (`KeepAliveTimer`), with the number of its last message, so that a consumer tells a quiet stream from
a silent one and sees the loss of a last message too.

A *stream* is one run of one producer (a random id); within it each asset's messages count 0, 1, 2, … . A repeated message
carries its original number, so a consumer takes each exactly once and in order.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from edgeml.messages import KeepAlive, ReplayRequest, ReplayStart, encode
from edgeml.timestamps import SECOND

KEEP_ALIVE_S = 2.0
"""A producer that has sent nothing of an asset for this long sends a `KeepAlive`."""


LEAST_TRIES = 4
"""So often at least a replay is asked for before a loss is accepted, unless the latest try is unanswered; with many assets behind, each
waits for its turn."""


class ReplayBuffer:
    """One producer's numbered messages of one asset, the last `keep_s` seconds of event time, at most `keep_bytes`.

    Args:
        former: streams whose numbers this one goes on with, each with the number at which it ended. A consumer that knows one of them is
            answered by number: after a clock was set back, a time does not tell what the consumer lacks.
    """

    def __init__(
        self, asset: str, stream: str, keep_s: float = 900.0, keep_bytes: int = 1_000_000, former: Mapping[str, int] | None = None
    ) -> None:
        self.asset, self.stream = asset, stream
        self._former = former or {}
        self.next_seq = 0
        self._keep_ns, self._keep_bytes = int(keep_s * SECOND), keep_bytes
        self._kept: deque[tuple[int, int, bytes]] = deque()  # seq, event time of the last row, payload
        self._bytes = 0
        self._rewound = False

    @property
    def oldest(self) -> int:
        """The number of the first message that is kept; `next_seq` when none is."""
        return self._kept[0][0] if self._kept else self.next_seq

    def add(self, end_ns: int, payload: bytes, epoch: int = 0) -> None:
        """Keep the message numbered `next_seq`, whose last row in line is of `end_ns`, and go on to the next number.

        Args:
            epoch: how often the stream's time went back for good; what is older is told within an epoch.
        """
        self._kept.append((self.next_seq, end_ns, payload))
        self._bytes += len(payload)
        self.next_seq += 1
        self._rewound |= epoch > 0
        while len(self._kept) > 1 and (self._bytes > self._keep_bytes or self._kept[0][1] < end_ns - self._keep_ns):
            self._bytes -= len(self._kept.popleft()[2])

    def go_on(self, seq: int) -> None:
        """Let `seq` be the next number. Replays are of consecutive numbers, so a gap costs what is kept from before it."""
        if seq != self.next_seq:
            self._kept.clear()
            self._bytes = 0
        self.next_seq = seq

    def replay(self, wanted: ReplayRequest) -> Iterator[bytes]:
        """`ReplayStart`, then what is wanted of the kept messages, in their order."""
        oldest = self.oldest
        ended = self.next_seq if wanted.stream == self.stream else self._former.get(wanted.stream or "")
        if ended is not None and wanted.next_seq is not msgspec.UNSET:
            # A consumer may have had messages of a former stream that this one does not know of.
            first = min(max(min(wanted.next_seq, ended), oldest), self.next_seq)
        elif self._rewound and wanted.stream is not msgspec.UNSET:
            first = oldest  # who knows another stream cannot tell by a time what it lacks of one that went back
        else:
            first = next((seq for seq, end_ns, _ in self._kept if end_ns > wanted.since), self.next_seq)
        end = self.next_seq if wanted.max_messages is msgspec.UNSET else min(first + max(wanted.max_messages, 0), self.next_seq)
        sent = [payload for _, _, payload in itertools.islice(self._kept, first - oldest, end - oldest)]
        yield encode(
            ReplayStart(
                asset=self.asset,
                stream=self.stream,
                first=first,
                oldest=oldest,
                last=first + len(sent) - 1,
                newest=self.next_seq - 1,
            )
        )
        yield from sent


class KeepAliveTimer:
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
    """What is known of an asset's messages.

    Attributes:
        seq: the number that is taken next.
        end_ns: event time up to which all is known.
        newest: the highest number that the producer is known to have sent.
        missing_at: monotonic time at which the next one was asked for first.
        tries: how often it was.
        fresh: nothing of this stream was taken yet, so what came before is no loss.
        before: the stream of which messages were taken last, and the number that was next in it.
    """

    stream: str
    seq: int
    end_ns: int = 0
    newest: int = -1
    missing_at: float | None = None
    tries: int = 0
    fresh: bool = False
    before: tuple[str, int] = ("", 0)

    @classmethod
    def begin(cls, stream: str, seq: int, former: _Expected | None) -> _Expected:
        """A stream of which nothing was taken yet, after what is known of the asset so far."""
        if former is None:
            return cls(stream, seq, fresh=True)
        before = former.before if former.fresh else (former.stream, former.seq)
        return cls(stream, seq, former.end_ns, fresh=True, before=before)

    @property
    def behind(self) -> bool:
        return self.newest >= self.seq


@dataclass
class _Asked:
    """A replay that is under way.

    Attributes:
        at: monotonic time of the latest sign of it.
        lacks: messages that were missing when it was asked for; those that came meanwhile come with it.
        last: number of the last message that comes with it; None: not answered yet.
    """

    at: float
    lacks: int
    last: int | None = None


class SequenceTracker:
    """A consumer's end of one topic: says of each message whether to take it, counts losses, asks for what is missing.

    What is missing is asked for a few messages at a time, so that the new messages of all assets do not wait behind old ones. Assets that
    lack little are asked for together: an answer takes its time, and an asset that waits for its turn comes to lack more.

    Args:
        topic: the topic these messages come from.
        ask: called with a `ReplayRequest` to publish.
        monotonic: the clock of the patience.
        patience_s: how long a replay is awaited before it is asked for again.
        give_up_s: how long it is asked for before a loss is accepted. The producer may be as deaf as this consumer was, and takes up to
            10 s to hear again.

    Attributes:
        lost: messages that were numbered and never came.
        repeated: messages that came again.
    """

    AT_ONCE, MOST = 16, 8
    """Messages that are asked for at a time, of all assets together (or as many as there are assets) and of one."""

    def __init__(
        self,
        topic: str,
        ask: Callable[[ReplayRequest], None],
        monotonic: Callable[[], float],
        patience_s: float = 2.0,
        give_up_s: float = 15.0,
    ) -> None:
        self._topic, self._ask, self._monotonic, self._patience_s, self._give_up_s = topic, ask, monotonic, patience_s, give_up_s
        self._expected: dict[str, _Expected] = {}
        self._queue: dict[str, None] = {}  # assets whose replay is to be asked for, in order
        self._asked: dict[str, _Asked] = {}
        self.lost = 0
        self.repeated = 0

    def resume(self, asset: str, stream: str, seq: int, end_ns: int) -> None:
        """Go on where an earlier process of this consumer was: message `seq` of `stream` is next, all to `end_ns` is known."""
        newest = self._expected[asset].newest if asset in self._expected and self._expected[asset].stream == stream else -1
        self._expected[asset] = _Expected(stream, seq, end_ns, newest)

    def position(self, asset: str) -> tuple[str, int, int]:
        """(stream, next number, event time of the last row) of an asset that was accepted; what `resume` takes."""
        state = self._expected[asset]
        return state.stream, state.seq, state.end_ns

    def ask_again(self) -> None:
        """Ask what there is, at the start or after subscriptions were renewed: the answers show what may have been missed."""
        self._asked.clear()
        self._ask(
            ReplayRequest(topic=self._topic, max_messages=0, since=min((state.end_ns for state in self._expected.values()), default=0))
        )

    def replaying(self, message: ReplayStart) -> None:
        """The producer says from which number on it repeats, and what it has."""
        state = self._expected.get(message.asset)
        asked = self._asked.get(message.asset)
        newest = message.first - 1 if message.newest is msgspec.UNSET else message.newest
        if message.last is msgspec.UNSET:
            # A producer that does not know `most` sends all it has.
            if state is None or state.stream != message.stream:
                self._expected[message.asset] = _Expected(message.stream, message.first)
            elif message.first > state.seq:
                self._skip(state, message.first)
            self._asked.pop(message.asset, None)
            self._proceed()
            return
        if state is None or state.stream != message.stream:
            # Where this consumer begins in a stream that is new to it is answered to what it asks of that asset alone.
            if asked is None:
                state = self._known(message.asset, message.stream)
            else:
                state = self._expected[message.asset] = _Expected.begin(message.stream, message.first, state)
        elif asked is not None and state.fresh:
            state.seq = max(state.seq, message.first)
        elif message.oldest is not msgspec.UNSET and message.oldest > state.seq:
            self._skip(state, message.oldest)
        state.newest = newest  # who numbers them knows best; what comes later comes behind this
        if asked is not None and asked.last is None:
            asked.at, asked.last = self._monotonic(), message.last
        self._settle(message.asset, state)

    def keep_alive(self, message: KeepAlive) -> None:
        """The producer has sent nothing for a while. What it sent last must have come; if not, it is asked for, until it answers."""
        if message.seq < 0:
            return
        state = self._known(message.asset, message.stream)
        state.newest = max(state.newest, message.seq)
        self._settle(message.asset, state)

    def accept(self, asset: str, stream: str, seq: int, end_ns: int) -> bool:
        """Whether this message is new and in order. If not, it is a repetition, or it will come again in a replay.

        Args:
            end_ns: event time of its last row in line; 0: it has none.
        """
        state = self._known(asset, stream)
        if seq < state.seq:
            self.repeated += 1
            return False
        state.newest = max(state.newest, seq)
        if seq > state.seq:
            if not self._hopeless(asset, state):
                if state.fresh and 0 < end_ns < state.end_ns:
                    state.end_ns = 0  # its time went back, so what came before it is not known either
                self._settle(asset, state)
                return False
            self._skip(state, seq)
        state.seq, state.end_ns, state.missing_at, state.tries, state.fresh = seq + 1, end_ns or state.end_ns, None, 0, False
        asked = self._asked.get(asset)
        if asked is not None:
            asked.at = self._monotonic()
        if asked is not None or self._queue:
            self._settle(asset, state)
        return True

    def _hopeless(self, asset: str, state: _Expected) -> bool:
        """Whether what is missing was asked for in vain for long enough."""
        now, asked = self._monotonic(), self._asked.get(asset)
        if state.missing_at is None or now - state.missing_at < self._give_up_s:
            return False
        return state.tries >= LEAST_TRIES or (asked is not None and now - asked.at >= self._patience_s)

    def _known(self, asset: str, stream: str) -> _Expected:
        """What is known of the asset in this stream; its earlier messages, of before this consumer began, are asked for first."""
        state = self._expected.get(asset)
        if state is None or state.stream != stream:
            self._asked.pop(asset, None)
            state = self._expected[asset] = _Expected.begin(stream, 0, state)
        return state

    def _settle(self, asset: str, state: _Expected) -> None:
        """See whether what was asked of an asset is there, and whether more is to be asked."""
        asked = self._asked.get(asset)
        if asked is not None and ((asked.last is not None and state.seq > asked.last) or not state.behind):
            del self._asked[asset]
        if state.behind and asset not in self._asked:
            self._queue.setdefault(asset)
        self._proceed()

    def _proceed(self) -> None:
        """Ask for what is due."""
        now = self._monotonic()
        for asset, asked in list(self._asked.items()):
            if now - asked.at >= self._patience_s:
                del self._asked[asset]
                self._queue.setdefault(asset)
        room = max(self.AT_ONCE, len(self._expected)) - sum(asked.lacks for asked in self._asked.values())
        while self._queue:
            asset = next(iter(self._queue))
            state = self._expected[asset]
            lacks = min(state.newest - state.seq + 1, self.MOST)
            if state.behind and lacks > room:
                return
            del self._queue[asset]
            if not state.behind:
                continue
            room -= lacks
            self._asked[asset] = _Asked(now, lacks)
            state.missing_at = now if state.missing_at is None else state.missing_at
            state.tries += 1
            self._ask(self._wanted(asset, state))

    def _wanted(self, asset: str, state: _Expected) -> ReplayRequest:
        # A stream of which nothing was taken may go on with the numbers of the one before, or repeat what is known of it, told by time.
        if state.fresh and state.seq == 0:
            stream, seq = state.before
            return ReplayRequest(topic=self._topic, asset=asset, since=state.end_ns, stream=stream, next_seq=seq, max_messages=self.MOST)
        return ReplayRequest(
            topic=self._topic, asset=asset, since=state.end_ns, stream=state.stream, next_seq=state.seq, max_messages=self.MOST
        )

    def _skip(self, state: _Expected, to: int) -> None:
        if not state.fresh:
            self.lost += to - state.seq
        state.seq = to
