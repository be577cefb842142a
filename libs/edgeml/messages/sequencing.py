"""Sequence numbers and replays: a producer numbers its messages and buffers the latest ones; a consumer detects a loss and requests them.

A producer without new messages sends keep-alives (`KeepAliveTimer`) with its last sequence number. A consumer can thus distinguish an idle
producer from a lost connection, and detects the loss of a last message.

A *stream* is one run of one producer (a random id); within it, each asset's messages are numbered 0, 1, 2, … . A repeated message keeps
its number, so a consumer accepts each message exactly once and in order.
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
"""A producer that has sent no message of an asset for this long sends a `KeepAlive`."""
MIN_ATTEMPTS = 4
"""Minimum number of replay requests before a loss is accepted, unless the latest one is unanswered. With many assets behind, each waits for
its turn."""


class ReplayBuffer:
    """The latest messages of one asset, for replays: the last `keep_s` seconds of event time, at most `keep_bytes`.

    Args:
        former: streams whose numbering this one continues, each with the number at which it ended. A consumer that knows one of them is
            answered by number: after a clock was set back, times do not show which messages the consumer lacks.
    """

    def __init__(
        self, asset: str, stream: str, keep_s: float = 900.0, keep_bytes: int = 1_000_000, former: Mapping[str, int] | None = None
    ) -> None:
        self.asset, self.stream = asset, stream
        self._former = former or {}
        self.next_seq = 0
        self._keep_ns, self._keep_bytes = int(keep_s * SECOND), keep_bytes
        self._buffer: deque[tuple[int, int, bytes]] = deque()  # seq, event time of the last row, payload
        self._bytes = 0
        self._rewound = False

    @property
    def oldest(self) -> int:
        """Sequence number of the oldest buffered message; `next_seq` if there is none."""
        return self._buffer[0][0] if self._buffer else self.next_seq

    def add(self, end_ns: int, payload: bytes, epoch: int = 0) -> None:
        """Buffer the message with the number `next_seq`, and advance that number.

        Args:
            end_ns: event time of its last row with a plausible time.
            epoch: number of times the stream's time went back for good.
        """
        self._buffer.append((self.next_seq, end_ns, payload))
        self._bytes += len(payload)
        self.next_seq += 1
        self._rewound |= epoch > 0
        while len(self._buffer) > 1 and (self._bytes > self._keep_bytes or self._buffer[0][1] < end_ns - self._keep_ns):
            self._bytes -= len(self._buffer.popleft()[2])

    def continue_at(self, seq: int) -> None:
        """Set the next number. Replays need consecutive numbers, so a gap discards the messages before it."""
        if seq != self.next_seq:
            self._buffer.clear()
            self._bytes = 0
        self.next_seq = seq

    def replay(self, request: ReplayRequest) -> Iterator[bytes]:
        """`ReplayStart`, then the requested messages in order."""
        oldest = self.oldest
        ended = self.next_seq if request.stream == self.stream else self._former.get(request.stream or "")
        if ended is not None and request.next_seq is not msgspec.UNSET:
            # A consumer may have received messages of a former stream that this producer does not know.
            first = min(max(min(request.next_seq, ended), oldest), self.next_seq)
        elif self._rewound and request.stream is not msgspec.UNSET:
            first = oldest  # after a step back in time, a time does not show which messages a consumer of another stream lacks
        else:
            first = next((seq for seq, end_ns, _ in self._buffer if end_ns > request.since), self.next_seq)
        end = self.next_seq if request.max_messages is msgspec.UNSET else min(first + max(request.max_messages, 0), self.next_seq)
        sent = [payload for _, _, payload in itertools.islice(self._buffer, first - oldest, end - oldest)]
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
    """Sends a producer's keep-alives.

    Args:
        publish: publishes an encoded message on the topic.
    """

    def __init__(self, publish: Callable[[bytes], object], interval_s: float = KEEP_ALIVE_S) -> None:
        self._publish, self._interval_s = publish, interval_s
        self._sent: dict[str, tuple[int, float]] = {}  # asset -> the last number, and the time of that message or keep-alive

    def tick(self, now: float, stream: str, asset: str = "", next_seq: int = 0) -> float:
        """Send the keep-alive of an asset if it is due at the monotonic time `now`; returns the seconds until the next call.

        Args:
            next_seq: the number of the asset's next message.
        """
        seq, at = self._sent.get(asset, (-1, now - self._interval_s))
        if next_seq - 1 != seq:
            # A message was sent since the last call, which replaces a keep-alive.
            self._sent[asset] = next_seq - 1, now
            return self._interval_s
        if now - at < self._interval_s:
            return at + self._interval_s - now
        self._sent[asset] = seq, now
        self._publish(encode(KeepAlive(asset=asset, stream=stream, seq=seq)))
        return self._interval_s


def new_stream() -> str:
    """Create a stream id: 8 random bytes in hex."""
    return secrets.token_hex(8)


@dataclass
class _Expected:
    """The state of an asset's messages.

    Attributes:
        seq: the next number to accept.
        end_ns: event time up to which all rows are known.
        newest: the highest number that the producer is known to have sent.
        missing_since: monotonic time of the first request for the next message.
        attempts: number of these requests.
        fresh: no message of this stream was accepted yet, so earlier messages are no loss.
        before: the stream of the last accepted message, and the next number in it.
    """

    stream: str
    seq: int
    end_ns: int = 0
    newest: int = -1
    missing_since: float | None = None
    attempts: int = 0
    fresh: bool = False
    before: tuple[str, int] = ("", 0)

    @classmethod
    def begin(cls, stream: str, seq: int, former: _Expected | None) -> _Expected:
        """The state for a new stream that follows the former one."""
        if former is None:
            return cls(stream, seq, fresh=True)
        before = former.before if former.fresh else (former.stream, former.seq)
        return cls(stream, seq, former.end_ns, fresh=True, before=before)

    @property
    def behind(self) -> bool:
        return self.newest >= self.seq


@dataclass
class _PendingReplay:
    """A requested replay.

    Attributes:
        at: monotonic time of its latest message, or of the request.
        lacks: number of messages that were missing at the request.
        last: number of its last message; None: not answered yet.
    """

    at: float
    lacks: int
    last: int | None = None


class SequenceTracker:
    """A consumer of one topic: decides which messages to accept, counts losses, and requests replays.

    Missing messages are requested a few at a time, so that the new messages of all assets do not wait behind old ones. Assets that lack few
    messages are served together: an answer takes time, and an asset that waits for its turn falls further behind.

    Args:
        topic: the topic of these messages.
        request: publishes a `ReplayRequest`.
        monotonic: the clock of the timeouts.
        patience_s: time until an unanswered replay is requested again.
        give_up_s: time until a loss is accepted. The producer's subscriptions may be dead too, and it takes up to 10 s to recover.

    Attributes:
        lost: number of messages that never arrived.
        repeated: number of messages that arrived again.
    """

    MAX_PENDING, MAX_PER_ASSET = 16, 8
    """Maximum messages requested at a time, of all assets together (or as many as there are assets), and of one."""

    def __init__(
        self,
        topic: str,
        request: Callable[[ReplayRequest], None],
        monotonic: Callable[[], float],
        patience_s: float = 2.0,
        give_up_s: float = 15.0,
    ) -> None:
        self._topic, self._request, self._monotonic, self._patience_s, self._give_up_s = topic, request, monotonic, patience_s, give_up_s
        self._expected: dict[str, _Expected] = {}
        self._queue: dict[str, None] = {}  # assets that wait for a replay request, in order
        self._pending: dict[str, _PendingReplay] = {}
        self.lost = 0
        self.repeated = 0

    def resume(self, asset: str, stream: str, seq: int, end_ns: int) -> None:
        """Continue at the position of an earlier process of this consumer: message `seq` of `stream` is next, all
        rows to `end_ns` are known."""
        newest = self._expected[asset].newest if asset in self._expected and self._expected[asset].stream == stream else -1
        self._expected[asset] = _Expected(stream, seq, end_ns, newest)

    def position(self, asset: str) -> tuple[str, int, int]:
        """(stream, next number, event time of the last row) of an asset with accepted messages, for `resume`."""
        state = self._expected[asset]
        return state.stream, state.seq, state.end_ns

    def query(self) -> None:
        """Ask for the state of all replay buffers, at the start or after subscriptions were renewed: the answers reveal missed messages."""
        self._pending.clear()
        self._request(
            ReplayRequest(topic=self._topic, max_messages=0, since=min((state.end_ns for state in self._expected.values()), default=0))
        )

    def on_replay_start(self, message: ReplayStart) -> None:
        """Handle the producer's announcement of a replay and of its buffer."""
        state = self._expected.get(message.asset)
        pending = self._pending.get(message.asset)
        newest = message.first - 1 if message.newest is msgspec.UNSET else message.newest
        if message.last is msgspec.UNSET:
            # A producer that does not know `max_messages` sends all messages.
            if state is None or state.stream != message.stream:
                self._expected[message.asset] = _Expected(message.stream, message.first)
            elif message.first > state.seq:
                self._skip(state, message.first)
            self._pending.pop(message.asset, None)
            self._proceed()
            return
        if state is None or state.stream != message.stream:
            # Only an answer to a request for this asset defines the start in a new stream.
            if pending is None:
                state = self._known(message.asset, message.stream)
            else:
                state = self._expected[message.asset] = _Expected.begin(message.stream, message.first, state)
        elif pending is not None and state.fresh:
            state.seq = max(state.seq, message.first)
        elif message.oldest is not msgspec.UNSET and message.oldest > state.seq:
            self._skip(state, message.oldest)
        state.newest = newest  # the producer knows best; later messages follow this one
        if pending is not None and pending.last is None:
            pending.at, pending.last = self._monotonic(), message.last
        self._settle(message.asset, state)

    def on_keep_alive(self, message: KeepAlive) -> None:
        """Request the producer's last message unless it has arrived."""
        if message.seq < 0:
            return
        state = self._known(message.asset, message.stream)
        state.newest = max(state.newest, message.seq)
        self._settle(message.asset, state)

    def accept(self, asset: str, stream: str, seq: int, end_ns: int) -> bool:
        """Whether this message is new and in order. If not, it is a repetition, or a replay will repeat it.

        Args:
            end_ns: event time of its last row with a plausible time; 0: it has none.
        """
        state = self._known(asset, stream)
        if seq < state.seq:
            self.repeated += 1
            return False
        state.newest = max(state.newest, seq)
        if seq > state.seq:
            if not self._loss_accepted(asset, state):
                if state.fresh and 0 < end_ns < state.end_ns:
                    state.end_ns = 0  # its time went back, so the rows before it are not known either
                self._settle(asset, state)
                return False
            self._skip(state, seq)
        state.seq, state.end_ns, state.missing_since, state.attempts, state.fresh = seq + 1, end_ns or state.end_ns, None, 0, False
        pending = self._pending.get(asset)
        if pending is not None:
            pending.at = self._monotonic()
        if pending is not None or self._queue:
            self._settle(asset, state)
        return True

    def _loss_accepted(self, asset: str, state: _Expected) -> bool:
        """Whether the missing messages were requested for long enough without success."""
        now, pending = self._monotonic(), self._pending.get(asset)
        if state.missing_since is None or now - state.missing_since < self._give_up_s:
            return False
        return state.attempts >= MIN_ATTEMPTS or (pending is not None and now - pending.at >= self._patience_s)

    def _known(self, asset: str, stream: str) -> _Expected:
        """The state of the asset in this stream. Of a new stream, the messages from before the start of this
        consumer are requested first."""
        state = self._expected.get(asset)
        if state is None or state.stream != stream:
            self._pending.pop(asset, None)
            state = self._expected[asset] = _Expected.begin(stream, 0, state)
        return state

    def _settle(self, asset: str, state: _Expected) -> None:
        """Check whether a requested replay is complete, and whether more is missing."""
        pending = self._pending.get(asset)
        if pending is not None and ((pending.last is not None and state.seq > pending.last) or not state.behind):
            del self._pending[asset]
        if state.behind and asset not in self._pending:
            self._queue.setdefault(asset)
        self._proceed()

    def _proceed(self) -> None:
        """Send the requests that are due."""
        now = self._monotonic()
        for asset, pending in list(self._pending.items()):
            if now - pending.at >= self._patience_s:
                del self._pending[asset]
                self._queue.setdefault(asset)
        room = max(self.MAX_PENDING, len(self._expected)) - sum(pending.lacks for pending in self._pending.values())
        while self._queue:
            asset = next(iter(self._queue))
            state = self._expected[asset]
            lacks = min(state.newest - state.seq + 1, self.MAX_PER_ASSET)
            if state.behind and lacks > room:
                return
            del self._queue[asset]
            if not state.behind:
                continue
            room -= lacks
            self._pending[asset] = _PendingReplay(now, lacks)
            state.missing_since = now if state.missing_since is None else state.missing_since
            state.attempts += 1
            self._request(self._replay_request(asset, state))

    def _replay_request(self, asset: str, state: _Expected) -> ReplayRequest:
        # A new stream may continue the numbering of the former one, or repeat rows that are known by their time.
        if state.fresh and state.seq == 0:
            stream, seq = state.before
            return ReplayRequest(
                topic=self._topic, asset=asset, since=state.end_ns, stream=stream, next_seq=seq, max_messages=self.MAX_PER_ASSET
            )
        return ReplayRequest(
            topic=self._topic, asset=asset, since=state.end_ns, stream=state.stream, next_seq=state.seq, max_messages=self.MAX_PER_ASSET
        )

    def _skip(self, state: _Expected, to: int) -> None:
        if not state.fresh:
            self.lost += to - state.seq
        state.seq = to
