"""Finds the processes of a component, including those that left its process group; as a program, it outlives the nucleus.

The program reads the id of each session that the nucleus starts from standard input. When the input ends, the nucleus has
terminated: the program kills the remaining processes of those sessions, and those with the nucleus's mark in their environment.
It needs only the standard library.
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
_MAX_KILL_S = 10.0


def members(sessions: Collection[int], mark: str) -> list[int]:
    """Ids of running processes in any of the sessions, or with a `GGLOCAL_MARK` in their environment that starts with `mark`."""
    if not (_PROC / "self").exists():
        return [session for session in sessions if _group_exists(session)]
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
    """Send a signal to each of `members`; returns their ids."""
    found = members(sessions, mark)
    for pid in found:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass
    return found


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reap(mark: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sessions = {int(line) for line in sys.stdin if line.strip().isdigit()}
    deadline = time.monotonic() + _MAX_KILL_S
    while send(sessions, mark, signal.SIGKILL) and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    _reap(sys.argv[1])
