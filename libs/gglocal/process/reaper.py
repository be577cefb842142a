"""Finds the processes of a component, also those that left its process group; and, run as a program, outlives the nucleus.

As a program it reads lines on standard input, each the id of a session that the nucleus started. When the input ends, the
nucleus has gone: what is left of those sessions, or carries the nucleus's mark in its environment, is killed. It stands on
the standard library alone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

MARK = "GGLOCAL_MARK"
_PROC = Path("/proc")
_PATIENCE_S = 10.0


def members(sessions: Collection[int], mark: str) -> list[int]:
    """Ids of living processes in any of the sessions, or whose environment has `GGLOCAL_MARK` beginning with `mark`."""
    if not (_PROC / "self").exists():
        return [session for session in sessions if _group_lives(session)]
    found, me = [], os.getpid()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == me:
            continue
        try:
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state in "ZX":
                continue
            if int(session) in sessions or f"\0{MARK}={mark}".encode() in b"\0" + (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def send(sessions: Collection[int], mark: str, number: int) -> list[int]:
    """Send a signal to each of `members`; returns whom."""
    found = members(sessions, mark)
    for pid in found:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass
    return found


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _guard(mark: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sessions = {int(line) for line in sys.stdin if line.strip().isdigit()}
    deadline = time.monotonic() + _PATIENCE_S
    while send(sessions, mark, signal.SIGKILL) and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    _guard(sys.argv[1])
