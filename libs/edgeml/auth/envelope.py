"""Signed messages: one line of text before the message that names the sender and proves that it has the device key.

    edgeml1 SENDER NUMBER MAC\\n
    the message, exactly as it is without a signature

SENDER is 1 to 64 letters, digits and `._:@-`. NUMBER is the device's CLOCK_BOOTTIME in nanoseconds, decimal. All processes of a device
read the same clock, so the number grows with each message of a sender, also across its restarts. MAC, the message authentication code,
is the first 16 bytes, in hex, of the HMAC-SHA256 with the device key of `edgeml1\\nTOPIC\\nSENDER\\nBOOT\\nNUMBER\\n` and the message. BOOT
is the content of `/proc/sys/kernel/random/boot_id`, which invalidates all signatures from before a reboot.

This module is pure; `edgeml.auth.verifier` holds the key.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from edgeml.errors import AuthenticationError
from edgeml.messages.signature_line import SIGNATURE_LINE, SIGNATURE_MARK


class MessageSignature(NamedTuple):
    """The content of a signature line; `mac` in hex."""

    sender: str
    number: int
    mac: str


def sign(key: bytes, topic: str, sender: str, boot: str, number: int, payload: bytes) -> bytes:
    """Prefix the message with its signature line."""
    return b"%s %s %d %s\n%s" % (SIGNATURE_MARK, sender.encode(), number, mac(key, topic, sender, boot, number, payload).encode(), payload)


def mac(key: bytes, topic: str, sender: str, boot: str, number: int, payload: bytes) -> str:
    """Compute the message authentication code, 32 hex digits."""
    head = f"edgeml1\n{topic}\n{sender}\n{boot}\n{number}\n".encode()
    return hmac.digest(key, head + payload, "sha256")[:16].hex()


def split(payload: bytes) -> tuple[MessageSignature | None, bytes]:
    """Separate signature and message, without verifying. The signature is None if there is none.

    Raises:
        AuthenticationError: the signature line is malformed.
    """
    if not payload.startswith(SIGNATURE_MARK):
        return None, payload
    line = SIGNATURE_LINE.match(payload)
    if line is None:
        raise AuthenticationError("malformed signature line; expected `edgeml1 SENDER NUMBER MAC` and a line feed before the message")
    return MessageSignature(line[1].decode(), int(line[2]), line[3].decode()), payload[line.end() :]
