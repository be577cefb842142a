"""Seals of the edgeml suite: a line of text before a message, `edgeml1 SENDER NUMBER MAC`, as docs/security.md specifies it.

Written from that specification alone, so that a command line that works here says something about any other program that seals.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from pathlib import Path

from gglocal.errors import NucleusError

KEY = "messages.key"
_LINE = re.compile(rb"edgeml1 [A-Za-z0-9._:@-]{1,64} [0-9]{1,19} [0-9a-f]{32}\n")


def find_key(work: Path) -> Path:
    """The key that the components under this folder of work directories use.

    Raises:
        NucleusError: none has made one.
    """
    found = sorted(work.glob(f"*/{KEY}"))
    if not found:
        raise NucleusError(f"{work}: no component has made a {KEY} there; wait until one runs, or name a file with --key")
    return found[0]


def seal(key: Path, topic: str, payload: bytes) -> bytes:
    """The message sealed with the key in a file, now; it must be published within seconds.

    Raises:
        NucleusError: the key cannot be read.
    """
    try:
        secret = key.read_bytes().strip()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError as fault:
        raise NucleusError(f"{fault.filename}: cannot be read ({fault.strerror}); name another file with --key") from None
    sender, number = f"gglocal:{os.getpid()}", time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    head = f"edgeml1\n{topic}\n{sender}\n{boot}\n{number}\n".encode()
    mac = hmac.digest(secret, head + payload, "sha256")[:16].hex()
    return f"edgeml1 {sender} {number} {mac}\n".encode() + payload


def bare(payload: bytes) -> bytes:
    """The message without its seal, if it has one."""
    line = _LINE.match(payload)
    return payload[line.end() :] if line else payload
