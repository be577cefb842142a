"""The framing, against golden vectors from awscrt and by round trips."""

from __future__ import annotations

import random
import uuid

import pytest

from gglocal.ipc.event_stream import Byte, FrameError, Int16, Int64, Packet, Splitter, Timestamp, decode, encode

ALL_TYPES = {
    "yes": True,
    "no": False,
    "byte": Byte(-3),
    "short": Int16(-300),
    "int": 70_000,
    "long": Int64(1 << 40),
    "bytes": b"\x00\xff",
    "text": "grüß",
    "time": Timestamp(1_700_000_000_123),
    "id": uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
}

GOLDEN = {
    # An empty packet and two others, from the format's published test vectors.
    "empty": ({}, b"", "000000100000000005c248eb7d98c8ff"),
    "payload": ({}, b"{'foo':'bar'}", "0000001d00000000fd528c5a7b27666f6f273a27626172277dc36539 36".replace(" ", "")),
    "int32": (
        {"event-type": 40972},
        b"{'foo':'bar'}",
        "0000002d0000001041c424b80a6576656e742d74797065040000a00c7b27666f6f273a27626172277d36f480a0",
    ),
    "string": (
        {"content-type": "application/json"},
        b"{'foo':'bar'}",
        "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_packets_match_golden_vectors(name: str) -> None:
    headers, payload, expected = GOLDEN[name]
    assert encode(headers, payload).hex() == expected
    assert decode(bytes.fromhex(expected)) == Packet(headers, payload)


def test_headers_keep_their_types() -> None:
    packet = decode(encode(ALL_TYPES, b"body"))
    assert packet.headers == ALL_TYPES
    assert packet.payload == b"body"
    assert [type(value) for value in packet.headers.values()] == [type(value) for value in ALL_TYPES.values()]


def test_splitter_reassembles_packets() -> None:
    packets = [encode({"n": n}, b"x" * n) for n in range(40)]
    stream, cuts = b"".join(packets), random.Random(7)
    splitter, got, at = Splitter(10_000), [], 0
    while at < len(stream):
        step = cuts.randint(1, 50)
        got += [packet.headers["n"] for packet in splitter.feed(stream[at : at + step])]
        at += step
    assert got == list(range(40))


@pytest.mark.parametrize("at", range(len(encode(ALL_TYPES, b"body"))))
def test_corrupt_byte_is_detected(at: int) -> None:
    broken = bytearray(encode(ALL_TYPES, b"body"))
    broken[at] ^= 0x41
    with pytest.raises(FrameError):
        decode(bytes(broken))


def test_packet_over_the_limit_is_rejected_early() -> None:
    with pytest.raises(FrameError, match="10013 bytes exceeds the limit of 10012"):
        list(Splitter(10_012).feed(encode({}, b"x" * (10_013 - 16))[:12]))


@pytest.mark.parametrize("headers", [{"": 1}, {"n" * 256: 1}, {"n": 1 << 31}, {"n": Byte(200)}, {"n": "x" * 40_000}])
def test_oversized_headers_are_rejected(headers: dict[str, object]) -> None:
    with pytest.raises(FrameError):
        encode(headers)


def test_random_bytes_raise_frame_errors_only() -> None:
    chance = random.Random(3)
    for _ in range(2_000):
        with pytest.raises(FrameError):
            decode(chance.randbytes(chance.randint(0, 100)))
