"""The first line of a signed message: its grammar, and how to skip it. `edgeml.auth.envelope` writes and verifies it."""

from __future__ import annotations

import re

SIGNATURE_MARK = b"edgeml1"
SENDER = re.compile(r"[A-Za-z0-9._:@-]{1,64}")
SIGNATURE_LINE = re.compile(rb"edgeml1 (" + SENDER.pattern.encode() + rb") (0|[1-9][0-9]{0,18}) ([0-9a-f]{32})\n")
"""Sender, number and message authentication code."""


def strip_signature(payload: bytes) -> bytes:
    """Return the message without its signature line, unverified; a payload without a well-formed line is returned unchanged."""
    if not payload.startswith(SIGNATURE_MARK):
        return payload
    line = SIGNATURE_LINE.match(payload)
    return payload if line is None else payload[line.end() :]
