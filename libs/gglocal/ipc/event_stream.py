"""The AWS event-stream framing, as Greengrass IPC uses it. Pure: bytes in, packets out.

A packet is `total length, headers length, CRC of these eight bytes; headers; payload; CRC of everything before`, big-endian,
with CRC-32. A header is `length of the name, name, type, value`.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PRELUDE = 12
OVERHEAD = 16


class FrameError(Exception):
    """The bytes are not a valid event-stream packet; the text gives the reason."""


class Byte(int):
    """A header of type 2, -128 to 127."""


class Int16(int):
    """A header of type 3."""


class Int64(int):
    """A header of type 5; a plain int is type 4, 32 bits."""


class Timestamp(int):
    """A header of type 8: milliseconds since the epoch."""


HeaderValue = bool | int | bytes | str | uuid.UUID
Headers = Mapping[str, HeaderValue]

_FIXED: dict[type, tuple[int, struct.Struct]] = {
    Byte: (2, struct.Struct(">b")),
    Int16: (3, struct.Struct(">h")),
    int: (4, struct.Struct(">i")),
    Int64: (5, struct.Struct(">q")),
    Timestamp: (8, struct.Struct(">q")),
}
_FIXED_BY_CODE = {code: (kind, layout) for kind, (code, layout) in _FIXED.items()}
_SIZED = {6: bytes, 7: str}
_U16, _THREE_U32, _U32 = struct.Struct(">H"), struct.Struct(">III"), struct.Struct(">I")


@dataclass(frozen=True)
class Packet:
    """One packet; headers keep their order."""

    headers: Headers = field(default_factory=dict)
    payload: bytes = b""


def encode(headers: Headers, payload: bytes = b"") -> bytes:
    """Encode a packet.

    Raises:
        FrameError: a header's value does not fit its type.
    """
    block = b"".join(_encode_header(name, value) for name, value in headers.items())
    start = struct.pack(">II", OVERHEAD + len(block) + len(payload), len(block))
    body = b"".join((start, _U32.pack(zlib.crc32(start)), block, payload))
    return body + _U32.pack(zlib.crc32(body))


def decode(packet: bytes) -> Packet:
    """Decode exactly one packet.

    Raises:
        FrameError: a length or a checksum is wrong, or a header is malformed.
    """
    total, headers_length = prelude(packet)
    if total != len(packet):
        raise FrameError(f"the packet has {len(packet)} bytes, its prelude states {total}")
    if zlib.crc32(packet[:-4]) != _U32.unpack_from(packet, total - 4)[0]:
        raise FrameError("the checksum of the packet is wrong")
    split = PRELUDE + headers_length
    return Packet(dict(_decode_headers(packet[PRELUDE:split])), packet[split:-4])


def prelude(data: bytes | bytearray) -> tuple[int, int]:
    """Total length and headers length, from the first twelve bytes.

    Raises:
        FrameError: the bytes are not a valid prelude.
    """
    if len(data) < PRELUDE:
        raise FrameError(f"a prelude has {PRELUDE} bytes, got {len(data)}")
    total, headers_length, checksum = _THREE_U32.unpack_from(data)
    if zlib.crc32(data[:8]) != checksum:
        raise FrameError("the checksum of the prelude is wrong")
    if total < OVERHEAD + headers_length:
        raise FrameError(f"{headers_length} bytes of headers do not fit into a packet of {total} bytes")
    return total, headers_length


class Splitter:
    """Splits a stream of bytes into packets."""

    def __init__(self, max_packet: int) -> None:
        self._max, self._buffer = max_packet, bytearray()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Add received bytes, and yield the packets that are complete.

        Raises:
            FrameError: the stream is corrupt, or a packet exceeds the limit; the stream cannot be read any further.
        """
        self._buffer += data
        while len(self._buffer) >= PRELUDE:
            total, _ = prelude(self._buffer)
            if total > self._max:
                raise FrameError(f"a packet of {total} bytes exceeds the limit of {self._max}")
            if len(self._buffer) < total:
                return
            packet = bytes(self._buffer[:total])
            del self._buffer[:total]
            yield decode(packet)


def _encode_header(name: str, value: HeaderValue) -> bytes:
    raw = name.encode()
    if not 0 < len(raw) < 256:
        raise FrameError(f"a header name has {len(raw)} bytes; 1 to 255 are allowed")
    start = bytes((len(raw),)) + raw
    if isinstance(value, bool):
        return start + (b"\0" if value else b"\1")
    if isinstance(value, int):
        code, layout = _FIXED[type(value)]
        try:
            return start + bytes((code,)) + layout.pack(value)
        except struct.error:
            raise FrameError(f"header {name}: {int(value)} does not fit its type") from None
    if isinstance(value, uuid.UUID):
        return start + b"\x09" + value.bytes
    data, code = (value.encode(), 7) if isinstance(value, str) else (value, 6)
    if len(data) > 0x7FFF:
        raise FrameError(f"header {name}: {len(data)} bytes; at most 32767 are allowed")
    return start + bytes((code,)) + _U16.pack(len(data)) + data


def _decode_headers(block: bytes) -> Iterator[tuple[str, HeaderValue]]:
    at = 0
    try:
        while at < len(block):
            start = at + 1
            at = start + block[at]
            name, code = _exactly(block, start, at).decode(), block[at]
            at += 1
            value: HeaderValue
            if code in (0, 1):
                value = code == 0
            elif code in _FIXED_BY_CODE:
                kind, layout = _FIXED_BY_CODE[code]
                value = kind(layout.unpack_from(block, at)[0])
                at += layout.size
            elif code in _SIZED:
                start = at + 2
                at = start + _U16.unpack_from(block, at)[0]
                data = _exactly(block, start, at)
                value = data.decode() if code == 7 else data
            elif code == 9:
                start, at = at, at + 16
                value = uuid.UUID(bytes=_exactly(block, start, at))
            else:
                raise FrameError(f"header {name}: unknown type {code}")
            yield name, value
    except (IndexError, struct.error):
        raise FrameError("the last header is truncated") from None
    except UnicodeDecodeError:
        raise FrameError("a header is not UTF-8") from None


def _exactly(block: bytes, start: int, end: int) -> bytes:
    if end > len(block):
        raise FrameError("the last header is truncated")
    return block[start:end]
