"""One script of a component as processes: a session of its own, its output line by line, and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gglocal.process import reaper

log = logging.getLogger("gglocal")

OnLine = Callable[[str, str], None]
"""Called with `stdout` or `stderr`, and one line."""

STOP_GRACE_S = 5.0
_POLL_S = 0.02
_DRAIN_S = 0.2
_MAX_LINE = 64 * 1024


class ReaperProcess:
    """A process that kills what the nucleus started should the nucleus itself be killed."""

    def __init__(self, mark: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def watch(self, session: int) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(f"{session}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def close(self) -> None:
        """Lets it kill what is left, and end."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()


class Script:
    """A running `/bin/sh -c` and whatever it starts."""

    def __init__(self, process: asyncio.subprocess.Process, mark: str, pipes: list[asyncio.Future[None]]) -> None:
        self._process, self._mark, self._pipes = process, mark, pipes
        self.pid = process.pid

    @classmethod
    async def start(cls, script: str, *, env: dict[str, str], cwd: Path, mark: str, on_line: OnLine) -> Script:
        """Start the script; `env` is its whole environment, to which the mark is added."""
        loop = asyncio.get_running_loop()
        ends, closed = {}, []
        for name in ("stdout", "stderr"):
            # Pipes of our own: asyncio's would keep wait() from returning while a grandchild holds them.
            reading, ends[name] = os.pipe()
            lines = _Lines(name, on_line, loop.create_future())
            await loop.connect_read_pipe(partial(_itself, lines), os.fdopen(reading, "rb", buffering=0))
            closed.append(lines.closed)
        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                script,
                stdin=subprocess.DEVNULL,
                stdout=ends["stdout"],
                stderr=ends["stderr"],
                env={**env, reaper.MARK: mark},
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            for end in ends.values():
                os.close(end)
        return cls(process, mark, closed)

    async def wait(self) -> int:
        """The exit code of the shell; negative: the signal that killed it."""
        code = await self._process.wait()
        # Its last words come first; a process that it left behind may hold the pipe for as long as it likes.
        await asyncio.wait(self._pipes, timeout=_DRAIN_S)
        return code

    def signal(self, number: int) -> None:
        reaper.send({self.pid}, self._mark, number)

    async def end(self, grace: float = STOP_GRACE_S) -> None:
        """Ask the whole session to end, and kill what has not after `grace` seconds; what cannot be killed is left, logged."""
        now = asyncio.get_running_loop().time
        deadline = now() + grace
        self.signal(signal.SIGTERM)
        while left := reaper.members({self.pid}, self._mark):
            if now() >= deadline + STOP_GRACE_S:
                log.error("the processes %s cannot be killed; do they run as another user?", left)
                return
            if now() >= deadline:
                self.signal(signal.SIGKILL)
            await asyncio.sleep(_POLL_S)
        await self.wait()


def _itself(lines: _Lines) -> _Lines:
    return lines


class _Lines(asyncio.Protocol):
    """Splits a pipe into lines; one that does not end is cut."""

    def __init__(self, name: str, on_line: OnLine, closed: asyncio.Future[None]) -> None:
        self._name, self._on_line, self._rest, self.closed = name, on_line, b"", closed

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._on_line(self._name, line.rstrip(b"\r").decode(errors="replace"))

    def connection_lost(self, fault: Exception | None) -> None:
        if self._rest:
            self._on_line(self._name, self._rest.decode(errors="replace"))
        if not self.closed.done():
            self.closed.set_result(None)
