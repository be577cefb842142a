"""One script of a component as a process session: its output, line by line, and its termination."""

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
    """A process that kills the components' processes if the nucleus itself is killed."""

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
        """Have it kill the remaining processes and exit."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()


class Script:
    """A running `/bin/sh -c` and its child processes."""

    def __init__(self, process: asyncio.subprocess.Process, mark: str, pipes: list[asyncio.Future[None]]) -> None:
        self._process, self._mark, self._pipes = process, mark, pipes
        self.pid = process.pid

    @classmethod
    async def start(cls, script: str, *, env: dict[str, str], cwd: Path, mark: str, on_line: OnLine) -> Script:
        """Start the script with exactly the environment `env` and the mark."""
        loop = asyncio.get_running_loop()
        ends, closed = {}, []
        for name in ("stdout", "stderr"):
            # Not asyncio's pipes: with these, wait() would not return while a grandchild keeps them open.
            reading, ends[name] = os.pipe()
            lines = _Lines(name, on_line, loop.create_future())
            await loop.connect_read_pipe(partial(_identity, lines), os.fdopen(reading, "rb", buffering=0))
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
        # Read the remaining output first, but a background process may keep the pipe open indefinitely.
        await asyncio.wait(self._pipes, timeout=_DRAIN_S)
        return code

    def signal(self, number: int) -> None:
        reaper.send({self.pid}, self._mark, number)

    async def end(self, grace: float = STOP_GRACE_S) -> None:
        """Terminate the whole session: SIGTERM, and SIGKILL after `grace` seconds; processes that survive are logged."""
        now = asyncio.get_running_loop().time
        deadline = now() + grace
        self.signal(signal.SIGTERM)
        while remaining := reaper.members({self.pid}, self._mark):
            if now() >= deadline + STOP_GRACE_S:
                log.error("processes %s could not be killed; do they run as another user?", remaining)
                return
            if now() >= deadline:
                self.signal(signal.SIGKILL)
            await asyncio.sleep(_POLL_S)
        await self.wait()


def _identity(lines: _Lines) -> _Lines:
    return lines


class _Lines(asyncio.Protocol):
    """Splits the data of a pipe into lines; a line that is too long is split."""

    def __init__(self, name: str, on_line: OnLine, closed: asyncio.Future[None]) -> None:
        self._name, self._on_line, self._partial, self.closed = name, on_line, b"", closed

    def data_received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _MAX_LINE:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._on_line(self._name, line.rstrip(b"\r").decode(errors="replace"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._partial:
            self._on_line(self._name, self._partial.decode(errors="replace"))
        if not self.closed.done():
            self.closed.set_result(None)
