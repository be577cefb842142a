"""The messages of the suite: declared types; blocks of rows go as MessagePack, what people and machines read as JSON text.

Blocks (`SensorBatch`, `ResultBlock`) carry many rows as packed little-endian columns, so that one decode and a few `numpy.frombuffer`
give arrays; the rare messages (alerts, commands, acknowledgements, …) carry plain fields and ISO 8601 times, so that a person with a
command line can read and write them, and a machine's own program in any language. Both are decoded in either form.

Every message has a type and a version. A field that this version does not know is ignored; a version that it does not know is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.auth.envelope import bare
from edgeml.errors import MessageError, NewerVersionError

MAX_PAYLOAD = 6_800
"""Bytes of a message. With its seal it stays below 7,000 bytes; Nucleus Lite closes the connection at about 7,300."""

Name = Annotated[str, Meta(max_length=128)]
"""Of an asset, a component, a model, a stream or an alarm. A message of another's is refused with a longer one: what is made of it,
an alert or a block of results, must fit into a message too."""

# Quality of one sensor value; the codes are part of the wire format.
GOOD, MISSING, OUT_OF_RANGE, STUCK, GAP, BACKWARDS, AHEAD = range(7)
QUALITY_NAMES = ("good", "missing", "out of range", "stuck", "after a gap", "time running backwards", "ahead of the clock")
OUT_OF_LINE = (BACKWARDS, AHEAD)
"""Quality of a row whose time cannot be true: no reader takes it for the latest of its series."""


_OUT_OF_LINE_NAMES = tuple(QUALITY_NAMES[code] for code in OUT_OF_LINE)


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What all messages share.

    `version` is raised when a reader of the previous version would misread the message; a new optional field does not raise it.
    """

    VERSION: ClassVar[int] = 1
    v: int = 1


class SensorBatch(Message, frozen=True, kw_only=True, tag="sensor-batch"):
    """Rows that one asset's source read: n rows of c channels.

    Attributes:
        stream, seq: the sender's numbering (see `edgeml.messages.sequencing`).
        channels, units: c names and their units (`g`, `A`, `bar`, `°C`, `V`, `l/min`).
        times: n int64, event time in ns since the epoch.
        values: n * c float32, row by row; a missing value is NaN.
        quality: n * c uint8 quality codes, row by row; empty when all are good.
        epoch: how often the time of this stream's rows went back for good, unset: never; what is later is told within an epoch.
    """

    asset: Name
    stream: Name
    seq: int
    channels: tuple[str, ...]
    units: tuple[str, ...]
    times: bytes
    values: bytes
    quality: bytes = b""
    # Unset is left out of the bytes, so that those of a version before are what they were.
    epoch: int | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(
        cls,
        asset: str,
        stream: str,
        seq: int,
        channels: tuple[str, ...],
        units: tuple[str, ...],
        times: np.ndarray,
        values: np.ndarray,
        quality: np.ndarray | None = None,
        epoch: int = 0,
    ) -> SensorBatch:
        """Pack arrays: times (n,) ns, values (n, c), quality (n, c) or None for all good."""
        flags = b"" if quality is None or not quality.any() else np.ascontiguousarray(quality, "u1").tobytes()
        return cls(
            asset=asset,
            stream=stream,
            seq=seq,
            channels=channels,
            units=units,
            times=np.ascontiguousarray(times, "<i8").tobytes(),
            values=np.ascontiguousarray(values, "<f4").tobytes(),
            quality=flags,
            epoch=epoch or msgspec.UNSET,
        )

    def in_line(self, quality: np.ndarray) -> np.ndarray | None:
        """(n,) bool: rows whose time may be true, by their (n, c) quality; None: all of them."""
        if not self.quality:
            return None
        wrong = (quality == BACKWARDS) | (quality == AHEAD)
        return ~wrong.any(axis=1) if wrong.any() else None

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times (n,) int64, values (n, c) float32, quality (n, c) uint8, read-only.

        Raises:
            MessageError: the columns' lengths do not agree.
        """
        n, c = len(self.times) // 8, len(self.channels)
        _same_length(self, "units", len(self.units), c)
        _same_length(self, "times", len(self.times), n * 8)
        _same_length(self, "values", len(self.values), n * c * 4)
        if self.quality:
            _same_length(self, "quality", len(self.quality), n * c)
            quality = np.frombuffer(self.quality, "u1").reshape(n, c)
        else:
            quality = np.zeros((n, c), "u1")
        return np.frombuffer(self.times, "<i8"), np.frombuffer(self.values, "<f4").reshape(n, c), quality


class ResultBlock(Message, frozen=True, kw_only=True, tag="results"):
    """What one model says of one asset: n results, one for each sensor row of the batch it answers.

    Attributes:
        stream, seq: the sender's numbering.
        model, model_version, digest: the bundle (SHA-256 of `model.tflite`, hex).
        answers_stream, answers_seq: the `SensorBatch` these results come from.
        complete: the last block for that batch.
        channels: c names, the order of `deviations`.
        times, starts: n int64: event time of the window's last and first row, ns.
        score: n float32, the model's output; NaN where there is no decision.
        confidence: n float32, 0 to 1, that what the model looks for is there; NaN where there is no decision.
        reason: n uint8: 0 for a decision, else 1 + an index into `reasons`.
        reasons: why there was no decision.
        deviations: n * c float16: how far the latest rows are from the baseline, in its standard deviations; NaN where unknown.
        took_us: n * 2 float32: microseconds spent on preparing the window and on the model.
        epoch: that of the batch.
    """

    asset: Name
    stream: Name
    seq: int
    model: Name
    model_version: Name
    digest: Name
    answers_stream: Name
    answers_seq: int
    complete: bool
    channels: tuple[str, ...]
    times: bytes
    starts: bytes
    score: bytes
    confidence: bytes
    reason: bytes
    reasons: tuple[str, ...]
    deviations: bytes
    took_us: bytes
    epoch: int | msgspec.UnsetType = msgspec.UNSET

    def __len__(self) -> int:
        return len(self.reason)

    def arrays(self) -> ResultColumns:
        """The columns as arrays, read-only.

        Raises:
            MessageError: the columns' lengths do not agree.
        """
        n, c = len(self.reason), len(self.channels)
        for name, size in (("times", 8), ("starts", 8), ("score", 4), ("confidence", 4), ("deviations", 2 * c), ("took_us", 8)):
            _same_length(self, name, len(getattr(self, name)), n * size)
        reason = np.frombuffer(self.reason, "u1")
        if n and int(reason.max()) > len(self.reasons):
            raise MessageError("results: a reason code has no text; the sender packed this message wrongly")
        return ResultColumns(
            times=np.frombuffer(self.times, "<i8"),
            starts=np.frombuffer(self.starts, "<i8"),
            score=np.frombuffer(self.score, "<f4"),
            confidence=np.frombuffer(self.confidence, "<f4"),
            reason=reason,
            deviations=np.frombuffer(self.deviations, "<f2").reshape(n, c),
            took_us=np.frombuffer(self.took_us, "<f4").reshape(n, 2),
        )

    def in_line(self, reason: np.ndarray) -> np.ndarray | None:
        """(n,) bool: results whose time may be true, by their (n,) reason codes; None: all of them."""
        wrong = [code for code, text in enumerate(self.reasons, 1) if text in _OUT_OF_LINE_NAMES]
        return ~np.isin(reason, wrong) if wrong else None


class ResultColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a `ResultBlock` as numpy arrays of equal length n; deviations (n, c), took_us (n, 2)."""

    times: np.ndarray
    starts: np.ndarray
    score: np.ndarray
    confidence: np.ndarray
    reason: np.ndarray
    deviations: np.ndarray
    took_us: np.ndarray

    def part(self, rows: slice) -> ResultColumns:
        return ResultColumns(**{name: getattr(self, name)[rows] for name in self.__struct_fields__})

    def packed(self) -> dict[str, bytes]:
        """The columns as `ResultBlock` wants them."""
        kinds = {"times": "<i8", "starts": "<i8", "score": "<f4", "confidence": "<f4"}
        kinds |= {"reason": "u1", "deviations": "<f2", "took_us": "<f4"}
        return {name: np.ascontiguousarray(getattr(self, name), kind).tobytes() for name, kind in kinds.items()}


class Alert(Message, frozen=True, kw_only=True, tag="alert"):
    """A change in the life of an alarm; the id stays the same from `pending` to `cleared`.

    Attributes:
        state: `pending`, `active`, `acknowledged` or `cleared`.
        at, raised_at, cleared_at: event times, ISO 8601.
        confidence, peak_confidence: now, and the highest since it was pending.
        why: a sentence for the operator.
        acknowledged_by, note: from the person who acknowledged.
    """

    id: Name
    asset: Name
    stream: Name
    seq: int
    model: Name
    model_version: Name
    state: Name
    at: str
    raised_at: str | None = None
    cleared_at: str | None = None
    confidence: float | None = None
    peak_confidence: float | None = None
    why: str = ""
    acknowledged_by: str = ""
    note: str = ""


class Acknowledge(Message, frozen=True, kw_only=True, tag="acknowledge"):
    """A person has seen an alarm. `alarm` is the alert's id."""

    alarm: Name
    by: str = ""
    note: str = ""


class Command(Message, frozen=True, kw_only=True, tag="command"):
    """Something a machine is to do, at most once for each id.

    Attributes:
        id: the idempotency key: a machine that has had it acknowledges again and does nothing.
        action: `stop`, `start`, or what else the machine's source names.
        alarm: the alarm behind it, or empty.
        issued_at: wall-clock time, ISO 8601.
        timeout_s: seconds after `issued_at` past which it must not be executed any more.
        issued_monotonic_s, boot: the same instant by the monotonic clock (see `edgeml.timestamps.Moment`), from a sender on the same device.
    """

    id: str
    asset: Name
    action: str
    alarm: Name = ""
    issued_at: str = ""
    timeout_s: float = 10.0
    # Unset is left out of the bytes, so that those of a version before are what they were.
    issued_monotonic_s: float | msgspec.UnsetType = msgspec.UNSET
    boot: str | msgspec.UnsetType = msgspec.UNSET


class CommandAck(Message, frozen=True, kw_only=True, tag="command-ack"):
    """The machine's answer.

    Attributes:
        id: the command's.
        status: `executed`, `refused` (the machine cannot or must not do it), `expired` (it came too late), or `unknown` (it was begun,
            and what became of it is not known; it will not be begun again).
        at: event time of the machine, ISO 8601.
        detail: for all but `executed`: why.
    """

    id: str
    asset: Name
    status: Name
    at: str = ""
    detail: str = ""


class Release(Message, frozen=True, kw_only=True, tag="release"):
    """A person has seen to a machine that a command had latched: it may be commanded again. `by` is that person's name."""

    asset: Name
    by: str
    note: str = ""


class Permit(Message, frozen=True, kw_only=True, tag="permit"):
    """Whether `asset` may be commanded automatically now; said again and again, because silence forbids.

    Attributes:
        reason: for people, why not.
    """

    asset: Name
    allowed: bool
    reason: str = ""


class ReplayRequest(Message, frozen=True, kw_only=True, tag="replay"):
    """Asks the producer of `topic` to send again what it still has.

    Attributes:
        topic: a local topic of `edgeml.messages.topics`.
        asset: one asset, or empty for all.
        since: event time in ns; what ends before it is not wanted.
        stream, next: the stream that is known and the number that is wanted next; where the producer's is the same, these count, and
            not `since`.
        most: how many messages are sent, at most; 0: none, just the `ReplayStart`, which says what there is. Unset: all.
    """

    topic: str
    asset: Name = ""
    since: int = 0
    stream: str | msgspec.UnsetType = msgspec.UNSET
    next: int | msgspec.UnsetType = msgspec.UNSET
    most: int | msgspec.UnsetType = msgspec.UNSET


class ReplayStart(Message, frozen=True, kw_only=True, tag="replaying"):
    """The producer's answer to a `ReplayRequest`, on the topic itself, before the messages that it sends again.

    Attributes:
        stream: the producer's.
        first: number of the first message that follows; what is older is gone, or was not asked for.
        oldest: number of the oldest message that the producer still has; what is older is gone.
        last: number of the last message that follows; `first` - 1: none follows.
        newest: number of the last message of all, -1: there is none.
    """

    asset: Name
    stream: Name
    first: int
    oldest: int | msgspec.UnsetType = msgspec.UNSET
    last: int | msgspec.UnsetType = msgspec.UNSET
    newest: int | msgspec.UnsetType = msgspec.UNSET


class KeepAlive(Message, frozen=True, kw_only=True, tag="keep-alive"):
    """A producer of numbered messages, on their topic, when nothing else went there for a while: quiet, not silent.

    Attributes:
        asset, stream: whose messages; an empty asset: the producer has none yet.
        seq: number of the last message that was sent, -1: none. Who has not had that one asks for a replay.
    """

    asset: Name
    stream: Name
    seq: int


class ResetBaseline(Message, frozen=True, kw_only=True, tag="reset-baseline"):
    """Forget what `asset` (empty: every asset) looks like in normal running, and learn it anew."""

    asset: Name = ""


class Status(Message, frozen=True, kw_only=True, tag="status"):
    """What a component says of itself, at each change.

    Attributes:
        component: its full name.
        state: `running`; `faulty`: it waits for a right configuration; `finished`: its sources have ended.
        faults: one sentence each.
    """

    component: Name
    state: Name
    faults: tuple[str, ...] = ()


class NotJudged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why one asset is not judged.

    Attributes:
        reason: the most frequent reason for no decision, cut to 100 bytes.
        since: wall-clock time since when, ISO 8601.
        for_s: the same in seconds of the monotonic clock.
        rows: rows without a decision since then.
        share: of the latest rows, 0.5 to 1.
    """

    reason: str
    since: str
    for_s: float
    rows: int
    share: float = 1.0


class Health(Message, frozen=True, kw_only=True, tag="health"):
    """How a component is, again and again.

    Attributes:
        component: its full name.
        at: wall-clock time, ISO 8601.
        state, faults: as in `Status`.
        lag_s: the age, by its event time, of the newest row that was handled, when it was; null before the first.
        queues: name of each queue -> [length, most].
        heard: topic that it listens on -> seconds since a message came; null: none came yet.
        quiet: asset -> seconds since a row was read; the longest ones only, without assets whose source has ended.
        drops: reason -> how often something was dropped since the process started.
        not_judged: asset -> why most of its latest rows had no decision; those without one for the longest time, as many as fit. Rows of
            a machine that is stopped or settles, and rows that a baseline is learned from, do not count.
        not_judged_more: how many further assets there are of that kind.
    """

    component: Name
    at: str
    state: Name
    faults: tuple[str, ...] = ()
    lag_s: float | None = None
    queues: dict[str, tuple[int, int]] = {}
    heard: dict[str, float | None] = {}
    quiet: dict[str, float] = {}
    drops: dict[str, int] = {}
    not_judged: dict[str, NotJudged] | msgspec.UnsetType = msgspec.UNSET
    not_judged_more: int | msgspec.UnsetType = msgspec.UNSET


MESSAGES: tuple[type[Message], ...] = (
    SensorBatch,
    ResultBlock,
    Alert,
    Acknowledge,
    Command,
    CommandAck,
    Release,
    Permit,
    ReplayRequest,
    ReplayStart,
    KeepAlive,
    ResetBaseline,
    Status,
    Health,
)
BLOCKS = (SensorBatch, ResultBlock)
_ANY: Any = None
for _kind in MESSAGES:
    _ANY = _kind if _ANY is None else _ANY | _kind

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_ANY)
_json_decoder = msgspec.json.Decoder(_ANY)


class _Header(msgspec.Struct):
    type: str = ""
    v: int = 1


M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """The message as it goes over the bus: MessagePack for blocks of rows, JSON for all others."""
    return _encoder.encode(message) if isinstance(message, BLOCKS) else encode_json(message)


def encode_json(message: Message) -> bytes:
    """The message as JSON text."""
    return msgspec.json.encode(message)


def decode(payload: bytes) -> Message:
    """The message in `payload`, MessagePack or JSON; a seal before it is passed over, whether it is right is for `edgeml.auth.verifier` to say.

    Raises:
        NewerVersionError: it is of a version that this library does not know.
        MessageError: it is no message of this suite.
    """
    payload = bare(payload)
    as_json = payload[:1] == b"{"
    try:
        message = (_json_decoder if as_json else _decoder).decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise _explain(payload, as_json, fault) from None
    if message.v > message.VERSION:
        raise _newer(message.__struct_config__.tag, message.v, message.VERSION)
    return message


def decode_as(kind: type[M], payload: bytes) -> M:
    """The message in `payload`, which must be a `kind`.

    Raises:
        MessageError: as `decode`, or it is another message.
    """
    message = decode(payload)
    if not isinstance(message, kind):
        raise MessageError(f"a {message.__struct_config__.tag} message where {kind.__struct_config__.tag} is wanted; check the topic")
    return message


def _explain(payload: bytes, as_json: bool, fault: Exception) -> MessageError:
    versions = {str(kind.__struct_config__.tag): kind.VERSION for kind in MESSAGES}
    try:
        header = msgspec.json.decode(payload, type=_Header) if as_json else msgspec.msgpack.decode(payload, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return MessageError(f"{len(payload)} bytes that are no message of this suite ({fault}); something else publishes on this topic")
    known = versions.get(header.type)
    if known is None:
        return MessageError(f"a message of the unknown type {header.type!r}; known are {', '.join(versions)}")
    if header.v > known:
        return _newer(header.type, header.v, known)
    return MessageError(f"a {header.type} message that is not well formed: {fault}")


def _newer(kind: object, got: int, known: int) -> NewerVersionError:
    return NewerVersionError(f"a {kind} message of version {got}, this component knows up to {known}; update this component")


def _same_length(message: Message, name: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise MessageError(f"{message.__struct_config__.tag}: `{name}` has length {got}, wanted {wanted}; the sender packed it wrongly")
