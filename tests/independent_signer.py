"""Signed messages, written from `docs/security.md` alone: a second implementation that the suite's own is compared with.

A signed message is `edgeml1 SENDER NUMBER MAC`, a line feed, and the message's bytes.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from pathlib import Path

_LINE = re.compile(rb"edgeml1 [A-Za-z0-9._:@-]{1,64} [0-9]{1,19} [0-9a-f]{32}\n")


def sign(key: Path, topic: str, payload: bytes) -> bytes:
    """The message, signed now with the key in a file."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    sender, number = f"tests:{os.getpid()}", time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    head = f"edgeml1\n{topic}\n{sender}\n{boot}\n{number}\n".encode()
    mac = hmac.digest(key.read_bytes().strip(), head + payload, "sha256")[:16].hex()
    return f"edgeml1 {sender} {number} {mac}\n".encode() + payload


def body(payload: bytes) -> bytes:
    """The message without its signature, if it has one."""
    line = _LINE.match(payload)
    return payload[line.end() :] if line else payload
