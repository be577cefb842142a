"""Replay of numbered messages: request, announcement, and the keep-alive that reveals a lost message."""

from __future__ import annotations

import msgspec

from edgeml.messages.message import Message, Name


class ReplayRequest(Message, frozen=True, kw_only=True, tag="replay-request"):
    """Asks the producer of `topic` to send the messages in its replay buffer again.

    Attributes:
        topic: a local topic of `edgeml.messages.topics`.
        asset: one asset, or empty for all.
        since: event time in ns; messages that end before it are left out.
        stream, next_seq: the stream known to the consumer and the sequence number that it needs next. If the producer still has this
            stream, these count instead of `since`.
        max_messages: maximum number of messages to send. With 0 the producer sends none, only the `ReplayStart` that describes its buffer.
            Unset means all.
    """

    topic: str
    asset: Name = ""
    since: int = 0
    stream: str | msgspec.UnsetType = msgspec.UNSET
    next_seq: int | msgspec.UnsetType = msgspec.UNSET
    max_messages: int | msgspec.UnsetType = msgspec.UNSET


class ReplayStart(Message, frozen=True, kw_only=True, tag="replay-start"):
    """Announces a replay: the producer's answer to a `ReplayRequest`, on the topic itself, before the messages that it repeats.

    Attributes:
        stream: the producer's stream.
        first: sequence number of the first message that follows; older ones were dropped or not requested.
        oldest: sequence number of the oldest message in the replay buffer; older ones were dropped.
        last: sequence number of the last message that follows; `first` - 1 if none follows.
        newest: sequence number of the newest message sent so far, -1 if there is none.
    """

    asset: Name
    stream: Name
    first: int
    oldest: int | msgspec.UnsetType = msgspec.UNSET
    last: int | msgspec.UnsetType = msgspec.UNSET
    newest: int | msgspec.UnsetType = msgspec.UNSET


class KeepAlive(Message, frozen=True, kw_only=True, tag="keep-alive"):
    """Sent by a producer of numbered messages on their topic when it has sent nothing else for a while.

    Attributes:
        asset, stream: whose messages; an empty asset means that the producer has none yet.
        seq: sequence number of the last message sent, -1 if there is none. A consumer that lacks it requests a replay.
    """

    asset: Name
    stream: Name
    seq: int
