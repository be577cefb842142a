"""The source `jsonl`: one JSON object a line, from a FIFO or from the output of a program.

How a reader of one's own joins: it writes lines such as `{"time": "2026-01-31T12:00:00Z", "flow": 121.5}`.
"""

from __future__ import annotations

import logging
import math
import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.backoff import Backoff
from edgeml.errors import SourceError
from edgeml.times import from_iso
from sensor_ingestion.sources import pump
from sensor_ingestion.sources.block import MAX_FAULTS, Block, Channel, Clocks

log = logging.getLogger(__name__)

POLL_S = 0.05
AT_ONCE = 65_536
"""Bytes read at a time; a longer line is no line."""
STEADY_S = 30.0
"""After a program ran for this long, the waiting before its next start is short again."""


class JsonlOptions(msgspec.Struct, frozen=True):
    """Options of the source `jsonl`."""

    fifo: Annotated[str, Meta(description="path of a FIFO; it is made if it is not there")] = ""
    program: Annotated[list[str], Meta(description="a program and its arguments, run without a shell")] = []
    units: Annotated[
        dict[str, str], Meta(description="channel -> unit: the keys to read; empty: the pump skid's eight channels")
    ] = {}

    def check(self, where: str) -> list[str]:
        if bool(self.fifo) == bool(self.program):
            prefix = f"{where}." if where else ""
            return [f"give one of `{prefix}fifo` (a path) and `{prefix}program` (a list: program, arguments)"]
        return []


class Jsonl:
    """A `Source` that never finishes: writers and programs come and go."""

    paced = False
    finished = False
    own_time = False
    actions: Mapping[str, Callable[[], None]] = {}

    def __init__(self, options: JsonlOptions, clocks: Clocks, checkpoint: dict[str, Any] | None = None) -> None:
        known = {channel.name: channel for channel in pump.CHANNELS}
        units = options.units or {channel.name: channel.unit for channel in pump.CHANNELS}
        self.channels = tuple(known.get(name, Channel(name, unit))._replace(unit=unit) for name, unit in units.items())
        self.faults: list[str] = []
        self.bad_lines = 0
        self._names = [channel.name for channel in self.channels]
        self._clocks = clocks
        self._pipe: _Pipe = _Fifo(Path(options.fifo)) if options.fifo else _Program(options.program, clocks.monotonic)
        self._rest = b""
        self._lines: list[bytes] = []
        self._line = 0

    def read(self, now: float, most: int) -> Block | None:
        if len(self._lines) < most:
            self._take(self._pipe.read())
        lines, self._lines = self._lines[:most], self._lines[most:]
        rows = [row for row in map(self._parse, lines) if row is not None]
        if not rows:
            return None
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is out of any range
            values = np.array([values for _, values in rows], "f4")
        return Block(np.array([time for time, _ in rows], np.int64), values)

    def wait(self, now: float, most: int) -> float:
        return 0.0 if self._lines else POLL_S

    def checkpoint(self) -> None:
        return None

    def close(self) -> None:
        self._pipe.close()

    def _take(self, data: bytes | None) -> None:
        if data is None:  # the writer is gone: what it left unfinished is its last line
            if self._rest:
                self._lines.append(self._rest)
                self._rest = b""
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += [line for line in lines if line.strip()]
        if len(self._rest) > AT_ONCE:
            self._bad(f"{len(self._rest)} bytes without an end of line")
            self._rest = b""

    def _parse(self, line: bytes) -> tuple[int, list[float]] | None:
        self._line += 1
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._bad(f"{line[:40].decode(errors='replace')!r} is no JSON object")
            return None
        if not any(name in record for name in self._names):
            self._bad(f"none of the channels {', '.join(self._names)} is in {sorted(record)[:10]}")
            return None
        try:
            time = self._time(record.get("time"))
        except (ValueError, OverflowError, TypeError):
            self._bad(f"`time` is {record['time']!r}, wanted is ISO 8601 or seconds since the epoch")
            return None
        return time, [self._number(name, record.get(name)) for name in self._names]

    def _time(self, value: Any) -> int:
        if value is None:
            return self._clocks.wall_ns()
        return from_iso(value) if isinstance(value, str) else _in_range(round(value * 1e9))

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                return math.inf
        if value is not None:
            self._note(f"{self._pipe.name}, line {self._line}: `{name}` is {value!r}, no number; published as missing")
        return math.nan

    def _bad(self, what: str) -> None:
        self.bad_lines += 1
        remedy = 'write one object a line, such as {"time": "2026-01-31T12:00:00Z", "flow": 1.5}'
        self._note(f"{self._pipe.name}, line {self._line}: {what}; the line is left out; {remedy}")

    def _note(self, sentence: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            log.warning("%s", sentence)
            self.faults.append(sentence)
        elif len(self.faults) == MAX_FAULTS:
            self.faults.append(f"{self._pipe.name}: more of the kind; only the first {MAX_FAULTS} are named")
            log.warning("%s", self.faults[-1])


class _Pipe:
    """Bytes as they come. `read` returns b"" when there are none now, None when their writer has gone."""

    name: str
    _descriptor: int

    def read(self) -> bytes | None:
        try:
            return os.read(self._descriptor, AT_ONCE) or None
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._descriptor)


class _Fifo(_Pipe):
    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            if not path.exists():
                os.mkfifo(path, 0o660)
            kind = path.stat().st_mode
            if not (stat.S_ISFIFO(kind) or stat.S_ISCHR(kind)):
                raise SourceError(f"{path} is no FIFO; give another path, or follow a file with `program: [tail, -F, {path}]`")
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as fault:
            raise SourceError(f"{path}: {fault.strerror}; give a path in a directory that this user may use") from None


class _Program(_Pipe):
    def __init__(self, command: list[str], monotonic: Callable[[], float]) -> None:
        self.name = f"output of {command[0]}"
        self._command, self._monotonic = command, monotonic
        self._backoff, self._again_at = Backoff(0.5, 60.0), 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def read(self) -> bytes | None:
        if self._process is None:
            if self._monotonic() >= self._again_at:
                try:
                    self._start()
                except SourceError as fault:
                    self._later(str(fault))
            return b""
        data = super().read()
        if data is None:
            if self._monotonic() - self._started_at >= STEADY_S:
                self._backoff.reset()
            self._later(f"{self.name} ended with exit code {self._end()}")
        return data

    def close(self) -> None:
        self._end()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except (OSError, ValueError) as fault:
            raise SourceError(f"`program` {self._command} does not start ({fault}); correct the option") from None
        assert self._process.stdout is not None
        self._descriptor = self._process.stdout.fileno()
        os.set_blocking(self._descriptor, False)
        self._started_at = self._monotonic()

    def _later(self, why: str) -> None:
        wait = self._backoff.next()
        self._again_at = self._monotonic() + wait
        log.warning("%s; starting it again in %.1f s", why, wait)

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        assert process.stdout is not None
        process.stdout.close()
        try:
            return process.wait(0.2)  # one that closes its output is about to end
        except subprocess.TimeoutExpired:
            process.terminate()
        try:
            return process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _in_range(ns: int) -> int:
    if not -(2**63) <= ns < 2**63:
        raise OverflowError
    return ns
