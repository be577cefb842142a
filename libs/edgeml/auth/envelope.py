"""The seal of a message: one line of text before its bytes that says who sent it and when, and proves that the sender has the core's key.

    edgeml1 SENDER NUMBER MAC\\n
    the message's bytes, just as they are without a seal

SENDER is 1 to 64 letters, digits and `._:@-`. NUMBER is the device's CLOCK_BOOTTIME in nanoseconds, decimal: every process of a device
reads the same clock, so it grows with each message of a sender, over the sender's restarts too. MAC is in hex the first 16 bytes of
the HMAC-SHA256 by the core's key of `edgeml1\\nTOPIC\\nSENDER\\nBOOT\\nNUMBER\\n` and the message's bytes; BOOT is what
`/proc/sys/kernel/random/boot_id` says, so that nothing of before a reboot is right after it. This module is pure; `edgeml.auth.verifier`
holds the key.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple

from edgeml.errors import AuthenticationError

MARK = b"edgeml1"
LONGEST = 127
"""Bytes of the line, at most."""
SENDER = re.compile(r"[A-Za-z0-9._:@-]{1,64}")
_LINE = re.compile(rb"edgeml1 (" + SENDER.pattern.encode() + rb") (0|[1-9][0-9]{0,18}) ([0-9a-f]{32})\n")


class MessageSignature(NamedTuple):
    """What a seal says; `mac` in hex."""

    sender: str
    number: int
    mac: str


def seal(key: bytes, topic: str, sender: str, boot: str, number: int, payload: bytes) -> bytes:
    """The message with its seal."""
    return b"%s %s %d %s\n%s" % (MARK, sender.encode(), number, mac(key, topic, sender, boot, number, payload).encode(), payload)


def mac(key: bytes, topic: str, sender: str, boot: str, number: int, payload: bytes) -> str:
    """The proof, 32 hex digits."""
    head = f"edgeml1\n{topic}\n{sender}\n{boot}\n{number}\n".encode()
    return hmac.digest(key, head + payload, "sha256")[:16].hex()


def split(payload: bytes) -> tuple[MessageSignature | None, bytes]:
    """The seal, None where there is none, and the message without it. What the seal proves is not looked at.

    Raises:
        AuthenticationError: it begins like a seal, and is none.
    """
    if not payload.startswith(MARK):
        return None, payload
    line = _LINE.match(payload)
    if line is None:
        raise AuthenticationError(
            "a seal that is not well formed; wanted is `edgeml1 SENDER NUMBER MAC` and a line feed before the message"
        )
    return MessageSignature(line[1].decode(), int(line[2]), line[3].decode()), payload[line.end() :]


def bare(payload: bytes) -> bytes:
    """The message without its seal, for who only wants to read it; what is not well formed comes back as it is."""
    try:
        return split(payload)[1]
    except AuthenticationError:
        return payload
